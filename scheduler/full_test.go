package scheduler

import (
	"context"
	"testing"
	"time"

	"attune"
)

// These are about a worker whose slots are all taken, and that would look again by itself only when the test is over.

func one(c *WorkerConfig) { c.PollInterval, c.Capacity = longPoll, 1 }

// TestFullWorkerTakesTheNext when its slot is free again.
func TestFullWorkerTakesTheNext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := newBench(t, func(context.Context, Claim) (Outcome, error) { <-release; return exited(0), nil }, action("a", 0))
	b.work(t, one)
	b.await(t, submit(t, b.Queue, "ops.a").ID, running)
	for range 5 {
		next := submit(t, b.Queue, "ops.a")
		release <- struct{}{}
		b.await(t, next.ID, running)
	}
	close(release)
}

// TestFreedSlotIsGiven, whenever in the worker's round it comes free.
func TestFreedSlotIsGiven(t *testing.T) {
	t.Parallel()
	b := newBench(t, exits(0), action("a", 1))
	b.work(t, func(c *WorkerConfig) { c.PollInterval = longPoll })
	for range 40 {
		first, second := submit(t, b.Queue, "ops.a"), submit(t, b.Queue, "ops.a")
		b.await(t, first.ID, over)
		b.await(t, second.ID, over)
	}
}

func TestFullWorkerEndsWaits(t *testing.T) {
	t.Parallel()
	b := newBench(t, waits, action("a", 0), with("b", maxWait(1)))
	b.work(t, one)
	b.await(t, submit(t, b.Queue, "ops.a").ID, running)
	for range 2 {
		e := submit(t, b.Queue, "ops.b")
		if e = b.await(t, e.ID, over); e.Reason != attune.ReasonQueueTimeout {
			t.Errorf("it ended as %s for %s", e.Status, e.Reason)
		}
	}
}

// TestPauseEndsOnAFullWorker: the retry takes its new place then, and what is submitted later stands behind it.
func TestPauseEndsOnAFullWorker(t *testing.T) {
	t.Parallel()
	a := retried("a", 0, 2)
	a.Retry.BackoffSeconds = 0.5
	b := newBench(t, failsFirst, a, action("b", 0))
	b.work(t, one)
	e := submit(t, b.Queue, "ops.a")
	b.await(t, e.ID, func(e attune.Execution) bool { return e.RetryAt != nil })
	b.await(t, submit(t, b.Queue, "ops.b").ID, running)
	b.await(t, e.ID, func(e attune.Execution) bool { return e.Position != nil })
	if later := submit(t, b.Queue, "ops.a"); *later.Position != 2 {
		t.Errorf("what comes later stands at %d", *later.Position)
	}
}

// failsFirst fails the first attempt of ops.a, and runs on otherwise.
func failsFirst(ctx context.Context, c Claim) (Outcome, error) {
	if c.Action == "ops.a" && c.Attempt == 1 {
		return exited(1), nil
	}
	return waits(ctx, c)
}

// TestWorkerThatCanTakeNothingIsQuiet when the time has come for something that it would take.
func TestWorkerThatCanTakeNothingIsQuiet(t *testing.T) {
	t.Parallel()
	a := retried("a", 0, 2)
	a.Retry.BackoffSeconds = 0.3
	b := newBench(t, func(ctx context.Context, c Claim) (Outcome, error) { return exited(1), nil }, a)
	b.work(t, func(c *WorkerConfig) { c.PollInterval = longPoll })
	e := submit(t, b.Queue, "ops.a")
	b.await(t, e.ID, func(e attune.Execution) bool { return e.RetryAt != nil })
	b.host.full.Store(true)
	b.await(t, e.ID, func(e attune.Execution) bool { return e.Position != nil })
	before := b.host.looks.Load()
	pause(t.Context(), 300*time.Millisecond)
	if n := b.host.looks.Load() - before; n > 5 {
		t.Errorf("it went round %d times within 0.3 seconds", n)
	}
}
