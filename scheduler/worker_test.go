package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"attune"
)

func TestWorkerTakesAnExecutionToItsEnd(t *testing.T) {
	t.Parallel()
	result := exited(0)
	result.Result = []byte(`{"ok": true}`)
	b := newBench(t, func(context.Context, Claim) (Outcome, error) { return result, nil }, action("greet", 1))
	b.work(t, nil)
	e := submit(t, b.Queue, "ops.greet")
	e = b.await(t, e.ID, over)
	if e.Status != attune.StatusCompleted || string(e.Result) != `{"ok": true}` || *e.ExitCode != 0 || e.Worker != "w" {
		t.Errorf("ended as %+v", e)
	}
	if e.ScheduledAt.Before(e.CreatedAt) || e.StartedAt.Before(*e.ScheduledAt) || e.FinishedAt.Before(*e.StartedAt) {
		t.Errorf("times are out of order: %+v", e)
	}
}

// TestStartOfALongAttempt is the time at which it began, not the later one at which it was recorded.
func TestStartOfALongAttempt(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(ctx context.Context, _ Claim) (Outcome, error) {
		pause(ctx, 4*startDelay)
		return exited(0), nil
	}, action("a", 0))
	b.work(t, nil)
	id := submit(t, b.Queue, "ops.a").ID
	begun := b.await(t, id, running)
	e := b.await(t, id, over)
	if !e.StartedAt.Equal(*begun.StartedAt) {
		t.Errorf("it was seen to have begun at %s, and has begun at %s", begun.StartedAt, e.StartedAt)
	}
	// The database has a clock of its own, and a busy machine is late to tell it.
	if took := e.FinishedAt.Sub(*e.StartedAt); took < 4*startDelay-startDelay/2 {
		t.Errorf("it took %s", took)
	}
}

// TestAttemptThatDoesNotBegin has no start.
func TestAttemptThatDoesNotBegin(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(context.Context, Claim) (Outcome, error) {
		return Outcome{Status: attune.StatusFailed, Reason: attune.ReasonImageMissing, NotBegun: true}, nil
	}, action("a", 0))
	b.work(t, nil)
	e := b.await(t, submit(t, b.Queue, "ops.a").ID, over)
	if e.Reason != attune.ReasonImageMissing || e.StartedAt != nil || e.ScheduledAt == nil {
		t.Errorf("it is %+v", e)
	}
}

func TestWorkersShareAQueueInOrder(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var order []string
	b := newBench(t, func(_ context.Context, c Claim) (Outcome, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, c.ID)
		return exited(0), nil
	}, action("one", 1))
	var want []string
	for range 12 {
		want = append(want, submit(t, b.Queue, "ops.one").ID)
	}
	for i := range 3 {
		b.work(t, func(c *WorkerConfig) { c.Name = fmt.Sprint("w", i) })
	}
	for _, id := range want {
		b.await(t, id, over)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(order, want) {
		t.Errorf("ran %v, want %v", order, want)
	}
}

func TestWorkerStopsWhatIsCancelled(t *testing.T) {
	t.Parallel()
	b := newBench(t, waits, action("one", 1))
	b.work(t, nil)
	e := submit(t, b.Queue, "ops.one")
	b.await(t, e.ID, running)
	if _, err := b.Cancel(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	if e = b.await(t, e.ID, over); e.Status != attune.StatusCancelled || e.Reason != attune.ReasonCancelRequested {
		t.Errorf("ended as %s for %s", e.Status, e.Reason)
	}
}

func TestDrainStopsWhatRunsAndReleasesTheRest(t *testing.T) {
	t.Parallel()
	b := newBench(t, waits, action("one", 1))
	stop := b.work(t, nil)
	first, second := submit(t, b.Queue, "ops.one"), submit(t, b.Queue, "ops.one")
	b.await(t, first.ID, running)
	stop()
	if e := b.await(t, first.ID, over); e.Status != attune.StatusAbandoned || e.Reason != attune.ReasonWorkerStopped {
		t.Errorf("what ran ended as %s for %s", e.Status, e.Reason)
	}
	if e, err := b.db.Executions.Get(t.Context(), second.ID); err != nil || e.Status != attune.StatusQueued {
		t.Errorf("what waited is %s (%v)", e.Status, err)
	}
}

// TestNextLifeSettlesWhatTheEarlierLeft: the host knows what had begun, whatever the database was told of it.
func TestNextLifeSettlesWhatTheEarlierLeft(t *testing.T) {
	t.Parallel()
	b := newBench(t, waits, action("free", 0))
	var all []attune.Execution
	for range 4 {
		all = append(all, submit(t, b.Queue, "ops.free"))
	}
	claims := admit(t, b.Queue, "w", 4)
	begin(t, b.Queue, "w", claims[0])
	begin(t, b.Queue, "w", claims[2])
	b.host.begun[attemptOf(claims[0])]++
	b.host.begun[attemptOf(claims[1])]++
	b.work(t, nil)
	for _, begun := range all[:2] {
		if e := b.await(t, begun.ID, over); e.Status != attune.StatusAbandoned || e.Reason != attune.ReasonWorkerLost {
			t.Errorf("what had begun ended as %s for %s", e.Status, e.Reason)
		}
	}
	// They go back to their positions and are taken again.
	for _, released := range all[2:] {
		b.await(t, released.ID, running)
	}
	b.host.judge(t)
}

// TestCancelledInAnEarlierLife: it had not begun, and does not begin now.
func TestCancelledInAnEarlierLife(t *testing.T) {
	t.Parallel()
	b := newBench(t, waits, action("a", 0))
	e := submit(t, b.Queue, "ops.a")
	admit(t, b.Queue, "w", 1)
	if _, err := b.Cancel(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	b.work(t, nil)
	if e = b.await(t, e.ID, over); e.Status != attune.StatusCancelled || e.StartedAt != nil {
		t.Errorf("it is %+v", e)
	}
	if n := b.host.count(); n != 0 {
		t.Errorf("%d attempts began", n)
	}
}

// TestSlotIsKeptUntilTheSandboxIsGone, and the next life settles it.
func TestSlotIsKeptUntilTheSandboxIsGone(t *testing.T) {
	t.Parallel()
	lost := make(chan struct{}, 1)
	b := newBench(t, func(_ context.Context, c Claim) (Outcome, error) {
		select {
		case lost <- struct{}{}:
			return Outcome{}, errors.New("lost from sight")
		default:
			return exited(0), nil
		}
	}, action("one", 1))
	stop := b.work(t, nil)
	first, second := submit(t, b.Queue, "ops.one"), submit(t, b.Queue, "ops.one")
	for len(lost) == 0 {
		pause(t.Context(), time.Millisecond)
	}
	stop()
	if e := get(t, b.Queue, first.ID); e.Status.Terminal() {
		t.Errorf("the one that is not settled is %s", e.Status)
	}
	if e := get(t, b.Queue, second.ID); e.Status != attune.StatusQueued {
		t.Errorf("the next one is %s", e.Status)
	}
	b.work(t, nil)
	if e := b.await(t, first.ID, over); e.Status != attune.StatusAbandoned {
		t.Errorf("it ended as %s", e.Status)
	}
	b.await(t, second.ID, over)
}
