package scheduler

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync"
	"testing"
	"time"

	"attune"
	"attune/storage/storagetest"
)

// behind is a second process that uses a queue by way of a swallower.
func behind(t *testing.T, databaseURL string, telltale []byte) (*Queue, *swallower) {
	t.Helper()
	s := newSwallower(t, databaseURL, telltale)
	return NewQueue(storagetest.ReopenDB(t, s.URL), slog.New(slog.DiscardHandler)), s
}

// work runs a worker of a queue until the test ends or the returned function is called.
func work(t *testing.T, q *Queue, h *host, pollInterval time.Duration) (stop func()) {
	t.Helper()
	w, err := NewWorker(WorkerConfig{
		Name: "w", Capacity: 3, DB: q.db, Queue: q, Executor: h, PollInterval: pollInterval,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !excused(err) {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func TestSubmissionWhoseCommitIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	q, recorder, url := setupRecorded(t, action("one", 1))
	client, swallower := behind(t, url, ofCommit)
	once := IdempotencyKey{Token: "t", Key: "k", Digest: sha256.Sum256([]byte("body"))}
	swallower.armed.Store(1)
	_, err := client.SubmitOnce(t.Context(), once, Submission{Action: "ops.one"})
	if attune.CodeOf(err) != attune.CodeUnavailable {
		t.Fatalf("without an acknowledgement, submit says %v", err)
	}
	e, err := client.SubmitOnce(t.Context(), once, Submission{Action: "ops.one"})
	if err != nil {
		t.Fatal(err)
	}
	claims := admit(t, q, "w", 10)
	if len(claims) != 1 || claims[0].ID != e.ID {
		t.Fatalf("the repetition is told of %s, and %v is there", e.ID, ids(claims))
	}
	end(t, q, "w", claims[0])
	expectDrained(t, recorder, []string{e.ID})
}

// TestAdmissionsWhoseCommitIsNotAcknowledged: a worker is given executions and does not hear of them, again and again.
func TestAdmissionsWhoseCommitIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	q, recorder, url := setupRecorded(t, action("one", 1), action("three", 3))
	other, swallower := behind(t, url, ofClaims)
	h := newHost(exits(0))
	work(t, other, h, 20*time.Millisecond)
	var all []string
	for range 10 {
		swallower.armed.Store(1)
		for range 2 {
			all = append(all, submit(t, q, "ops.one").ID, submit(t, q, "ops.three").ID)
		}
		swallower.await(t)
	}
	awaitDrained(t, q)
	h.judge(t)
	expectDrained(t, recorder, all)
	for _, id := range all {
		wantEnd(t, q, id, attune.StatusCompleted, "")
	}
}

// TestLostWakeUp: nobody sends wake-ups to other processes, as when every one of them is lost.
func TestLostWakeUp(t *testing.T) {
	t.Parallel()
	const pollInterval = 300 * time.Millisecond
	q, recorder, url := setupRecorded(t, action("one", 1))
	other := NewQueue(storagetest.ReopenDB(t, url), slog.New(slog.DiscardHandler))
	work(t, other, newHost(exits(0)), pollInterval)
	var all []string
	for range 3 {
		e := submit(t, q, "ops.one")
		all = append(all, e.ID)
		awaitDrained(t, q)
		e, err := q.db.Executions.Get(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if waited := e.ScheduledAt.Sub(e.CreatedAt); waited > pollInterval+2*time.Second {
			t.Errorf("it waited %s; the poll interval is %s", waited, pollInterval)
		}
	}
	expectDrained(t, recorder, all)
}
