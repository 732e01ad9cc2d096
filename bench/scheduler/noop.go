package main

import (
	"context"

	"attune"
	"attune/scheduler"
)

// noop is an executor whose attempts call it and do nothing else.
type noop func()

// Recover gives everything back: nothing has begun.
func (noop) Recover(_ context.Context, held []scheduler.Claim) ([]scheduler.Recovered, error) {
	recovered := make([]scheduler.Recovered, len(held))
	for i, c := range held {
		recovered[i].Claim = c
	}
	return recovered, nil
}

// Maintain has nothing to do.
func (noop) Maintain(context.Context) {}

// Ready is always.
func (noop) Ready() bool { return true }

// Prepare needs nothing.
func (ran noop) Prepare(context.Context, scheduler.Claim) (scheduler.Attempt, error) { return ran, nil }

// Run is the attempt.
func (ran noop) Run(context.Context) (scheduler.Outcome, error) {
	ran()
	return scheduler.Outcome{Status: attune.StatusCompleted}, nil
}

// Close has no log.
func (noop) Close(context.Context) {}
