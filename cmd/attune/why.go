package main

import (
	"context"
	"fmt"

	"attune"
	"attune/cmd/attune/internal/client"
)

type executionWhyCommand struct {
	ID string `arg:"" name:"id" help:"Execution that waits."`
}

// Help is the long text of `attune execution why --help`.
func (*executionWhyCommand) Help() string {
	return `It shows the execution's position in its queue, the gate that holds the head of the queue, the executions that
hold the slots, and an estimate of the start. The gates are concurrency, rate limit, backoff and workers.
`
}

// Run does what the command's help says.
func (e *executionWhyCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.Get(ctx, client.Path("executions", e.ID, "why"), nil)
	if err != nil || s.JSON {
		return orPrint(err, s, answer)
	}
	var why attune.Explanation
	if err := answer.Decode(&why); err != nil {
		return err
	}
	s.printExplanation(why)
	return nil
}

func (s *session) printExplanation(why attune.Explanation) {
	var gate attune.Gate
	if why.Gate != nil {
		gate = *why.Gate
	}
	s.printFields([]field{
		{"why", why.Summary}, {"execution", why.Execution}, {"status", string(why.Status)}, {"action", why.Action},
		{"key", why.Key}, {"position", number(why.Position)}, {"gate", describeGate(gate)}, {"opens", s.when(gate.OpensAt)},
		{"expected start", s.when(why.ExpectedStartAt)},
	})
	holders := table{header: []string{"HELD BY", "ACTION", "STATUS", "WORKER", "SCHEDULED", "STARTED"}}
	for _, h := range gate.Holders {
		holders.add(h.Execution, h.Action, string(h.Status), h.Worker, s.when(&h.ScheduledAt), orDash(s.when(h.StartedAt)))
	}
	s.printBelow(holders)
}

// describeGate is a gate with the numbers behind it; empty for none.
func describeGate(g attune.Gate) string {
	switch g.Kind {
	case "":
		return ""
	case attune.GateConcurrency:
		return fmt.Sprintf("concurrency of %s: %d of %d slots taken", g.Scope, g.Taken, g.Limit)
	case attune.GateRateLimit:
		return fmt.Sprintf("rate limit of %s: %d of %d starts within %s", g.Scope, g.Taken, g.Limit, span(g.WindowSeconds))
	case attune.GateWorkers:
		return fmt.Sprintf("workers: %d of %d slots taken", g.Taken, g.Limit)
	case attune.GateBackoff:
		return "backoff: the pause after an attempt that failed"
	default:
		return string(g.Kind)
	}
}
