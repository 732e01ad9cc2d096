package scheduler

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"attune"
	"attune/sandbox/sandboxtest/probe"
)

// These are about a worker whose places are all taken, and that would look again by itself only when the test is over.

func one(c *WorkerConfig, _ *Sandboxes) { c.PollInterval, c.Capacity = longPoll, 1 }

// TestFullWorkerTakesTheNext when its place is free again.
func TestFullWorkerTakesTheNext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := newBench(t, func(context.Context, probe.Process) int { <-release; return 0 }, action("a", 0))
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
	b.work(t, func(c *WorkerConfig, _ *Sandboxes) { c.PollInterval = longPoll })
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
func failsFirst(terminated context.Context, p probe.Process) int {
	var d struct {
		Execution struct {
			Action  string
			Attempt int
		}
	}
	if err := json.NewDecoder(p.Stdin).Decode(&d); err != nil || d.Execution.Action == "ops.a" && d.Execution.Attempt == 1 {
		return 1
	}
	return waits(terminated, p)
}

// unready is an Executor whose host can take nothing more, once something has run.
type unready struct {
	Executor
	full  atomic.Bool
	asked atomic.Int64
}

func (u *unready) Ready() bool {
	u.asked.Add(1)
	return !u.full.Load()
}

func (u *unready) Execute(ctx context.Context, c Claim, begin func(context.Context) error) (Outcome, *attune.Retry, error) {
	u.full.Store(true)
	return u.Executor.Execute(ctx, c, begin)
}

// TestWorkerThatCanTakeNothingIsQuiet when the time has come for something that it would take.
func TestWorkerThatCanTakeNothingIsQuiet(t *testing.T) {
	t.Parallel()
	a := retried("a", 0, 2)
	a.Retry.BackoffSeconds = 0.3
	b := newBench(t, failsFirst, a)
	host := &unready{}
	b.work(t, func(c *WorkerConfig, s *Sandboxes) {
		host.Executor, c.Executor, c.PollInterval = s, host, longPoll
	})
	e := submit(t, b.Queue, "ops.a")
	b.await(t, e.ID, func(e attune.Execution) bool { return e.RetryAt != nil })
	b.await(t, e.ID, func(e attune.Execution) bool { return e.Position != nil })
	before := host.asked.Load()
	pause(t.Context(), 300*time.Millisecond)
	if n := host.asked.Load() - before; n > 5 {
		t.Errorf("it went round %d times within 0.3 seconds", n)
	}
}
