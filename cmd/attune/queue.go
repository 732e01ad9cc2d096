package main

import (
	"context"
	"fmt"
	"strconv"

	"attune"
	"attune/cmd/attune/internal/client"
)

type queueCommands struct {
	List queueListCommand `cmd:"" help:"List the queues with executions that wait or run, longest first."`
	Show queueShowCommand `cmd:"" default:"withargs" help:"Show the queue of an action; the same as \"attune queue PACK.ACTION\"."`
}

type queueListCommand struct{}

// Run does what the command's help says.
func (*queueListCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	queues, raw, err := fetchList[attune.QueueState](ctx, c, client.Path("queues"), nil, 0)
	if err != nil {
		return err
	}
	if s.JSON {
		return s.printJSONList(raw)
	}
	t := table{header: []string{"ACTION", "KEY", "WAITING", "RUNNING", "LIMIT", "AVERAGE WAIT", "OLDEST WAIT"}}
	for _, q := range queues {
		t.add(append([]string{q.Action, orDash(q.Key)}, figures(q.QueueStats)...)...)
	}
	s.printTable(t)
	return nil
}

type queueShowCommand struct {
	Action string `arg:"" name:"pack.action" help:"Action whose queue to show."`
}

// Run does what the command's help says.
func (q *queueShowCommand) Run(ctx context.Context, s *session) error {
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
	limit := number(stats.Limit)
	if limit == "" {
		limit = "none"
	}
	s.printFields([]field{
		{"waiting", strconv.Itoa(stats.Waiting)}, {"running", strconv.Itoa(stats.Running)}, {"limit", limit},
		{"average wait", seconds(stats.AvgWaitTimeSeconds)}, {"oldest wait", seconds(stats.OldestWaitSeconds)},
	})
	t := table{header: []string{"KEY", "WAITING", "RUNNING", "LIMIT", "AVERAGE WAIT", "OLDEST WAIT"}}
	for _, key := range stats.Keys {
		t.add(append([]string{key.Key}, figures(key.QueueStats)...)...)
	}
	s.printBelow(t)
	return nil
}

// figures are the cells of a queue in a table.
func figures(q attune.QueueStats) []string {
	return []string{
		strconv.Itoa(q.Waiting), strconv.Itoa(q.Running), orDash(number(q.Limit)),
		orDash(seconds(q.AvgWaitTimeSeconds)), orDash(seconds(q.OldestWaitSeconds)),
	}
}

func seconds(value *float64) string {
	if value == nil {
		return ""
	}
	return fmt.Sprintf("%.1fs", *value)
}
