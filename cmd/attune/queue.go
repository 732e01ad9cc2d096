package main

import (
	"context"
	"fmt"
	"strconv"

	"attune"
	"attune/cmd/attune/internal/client"
)

// queueCommand shows the queue of an action.
type queueCommand struct {
	Action string `arg:"" name:"pack.action" help:"Action whose queue to show."`
}

// Run does what the type says.
func (q *queueCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.Get(ctx, client.Path("actions", q.Action, "queue-stats"), nil)
	if err != nil || s.JSON {
		return orPrint(err, s, answer)
	}
	var stats attune.QueueStats
	if err := answer.Decode(&stats); err != nil {
		return err
	}
	limit := "none"
	if stats.Limit != nil {
		limit = strconv.Itoa(*stats.Limit)
	}
	s.printFields([]field{
		{"waiting", strconv.Itoa(stats.Waiting)}, {"running", strconv.Itoa(stats.Running)}, {"limit", limit},
		{"average wait", seconds(stats.AvgWaitTimeSeconds)}, {"oldest wait", seconds(stats.OldestWaitSeconds)},
	})
	return nil
}

func seconds(value *float64) string {
	if value == nil {
		return ""
	}
	return fmt.Sprintf("%.1fs", *value)
}
