package executor

import (
	"context"
	"testing"
	"time"

	"attune"
	"attune/scheduler"
)

// work lets a worker take executions of the action ops.a until the test ends.
func (h *host) work(t *testing.T, a attune.Action) *scheduler.Queue {
	t.Helper()
	queue := scheduler.NewQueue(h.DB, h.Log)
	h.claim(t, a)
	installed, _, err := h.DB.Installations.Claim(t.Context(), "installer")
	if err != nil {
		t.Fatal(err)
	}
	if err := queue.Activate(t.Context(), installed.ID, "installer", digest); err != nil {
		t.Fatal(err)
	}
	worker, err := scheduler.NewWorker(scheduler.WorkerConfig{
		Name: "w", Capacity: 4, DB: h.DB, Queue: queue, Executor: h.Executor,
		PollInterval: 20 * time.Millisecond, DrainTimeout: 50 * time.Millisecond, Log: h.Log,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return queue
}

func submit(t *testing.T, q *scheduler.Queue) attune.Execution {
	t.Helper()
	e, err := q.Submit(t.Context(), scheduler.Submission{Action: "ops.a"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (h *host) awaitEnd(t *testing.T, id string) (e attune.Execution) {
	t.Helper()
	eventually(t, func() bool {
		var err error
		if e, err = h.DB.Executions.Get(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return e.Status.Terminal()
	})
	return e
}

func TestWorkerTakesAnExecutionToItsEnd(t *testing.T) {
	t.Parallel()
	h := setup(t, greets)
	e := submit(t, h.work(t, attune.Action{}))
	e = h.awaitEnd(t, e.ID)
	if e.Status != attune.StatusCompleted || string(e.Result) != `{"ok": true}` || *e.ExitCode != 0 || e.Worker != "w" {
		t.Errorf("ended as %+v", e)
	}
	if e.ScheduledAt.Before(e.CreatedAt) || e.StartedAt.Before(*e.ScheduledAt) || e.FinishedAt.Before(*e.StartedAt) {
		t.Errorf("times are out of order: %+v", e)
	}
	h.awaitKeys(t, scheduler.Claim{ID: e.ID, Pack: "ops", Action: e.Action, CreatedAt: e.CreatedAt}, all...)
}

func TestSlotIsFreedOnlyWhenTheSandboxIsGone(t *testing.T) {
	t.Parallel()
	b := &broken{removals: 2}
	h := setupBroken(t, b)
	one := attune.Action{Policy: attune.Policy{Concurrency: &attune.Concurrency{Limit: 1}}}
	queue := h.work(t, one)
	first, second := submit(t, queue), submit(t, queue)
	e := h.awaitEnd(t, first.ID)
	if e.Status != attune.StatusAbandoned || e.Reason != attune.ReasonSandboxLost {
		t.Errorf("ended as %s for %s", e.Status, e.Reason)
	}
	b.mu.Lock()
	if b.tries < 3 {
		t.Errorf("its slot was freed after %d tries to remove the sandbox, want 3", b.tries)
	}
	b.mu.Unlock()
	if next := h.awaitEnd(t, second.ID); next.ScheduledAt.Before(*e.FinishedAt) {
		t.Error("the next one was admitted before")
	}
}
