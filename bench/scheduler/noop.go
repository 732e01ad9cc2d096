package main

import (
	"context"

	"attune"
	"attune/scheduler"
)

// noop is an executor whose attempts call the function and do nothing else.
type noop func()

// Recover releases all claims, since nothing has begun.
func (noop) Recover(_ context.Context, held []scheduler.Claim) ([]scheduler.Recovered, error) {
	recovered := make([]scheduler.Recovered, len(held))
	for i, c := range held {
		recovered[i].Claim = c
	}
	return recovered, nil
}

// Maintain does nothing.
func (noop) Maintain(context.Context) {}

// Ready reports true.
func (noop) Ready() bool { return true }

// Prepare returns the attempt at once.
func (ran noop) Prepare(context.Context, scheduler.Claim) (scheduler.Attempt, error) { return ran, nil }

// Run calls the function.
func (ran noop) Run(context.Context) (scheduler.Outcome, error) {
	ran()
	return scheduler.Outcome{Status: attune.StatusCompleted}, nil
}

// Close does nothing, since there is no log.
func (noop) Close(context.Context) {}
