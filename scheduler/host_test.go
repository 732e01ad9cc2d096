package scheduler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"attune"
)

// program is the code of all attempts of a host. ctx ends when the attempt is to be stopped.
type program func(ctx context.Context, c Claim) (Outcome, error)

// host is the Executor of tests. It runs functions, remembers which attempts began whatever becomes of the workers on
// it, and may be shared by many of them.
type host struct {
	program program
	retries map[string]*attune.Retry
	// full keeps workers from taking anything; looks counts how often they asked.
	full  atomic.Bool
	looks atomic.Int64

	mu    sync.Mutex
	begun map[string]int
}

func newHost(p program, actions ...attune.Action) *host {
	h := &host{program: p, retries: make(map[string]*attune.Retry), begun: make(map[string]int)}
	for _, a := range actions {
		h.retries[a.Ref] = a.Retry
	}
	return h
}

func attemptOf(c Claim) string { return fmt.Sprint(c.ID, " attempt ", c.Attempt) }

// Recover takes up nothing: what had begun is lost.
func (h *host) Recover(_ context.Context, held []Claim) ([]Recovered, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]Recovered, len(held))
	for i, c := range held {
		all[i].Claim = c
		if h.begun[attemptOf(c)] > 0 {
			o := h.retried(c, Outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonWorkerLost})
			all[i].Outcome = &o
		}
	}
	return all, nil
}

func (h *host) Maintain(context.Context) {}

func (h *host) Ready() bool {
	h.looks.Add(1)
	return !h.full.Load()
}

func (h *host) Prepare(ctx context.Context, c Claim) (Attempt, error) {
	return &hostAttempt{h, c}, ctx.Err()
}

func (h *host) retried(c Claim, o Outcome) Outcome {
	o.RetryAfter = RetryAfter(h.retries[c.Action], c.Attempt, o)
	return o
}

type hostAttempt struct {
	host  *host
	claim Claim
}

func (a *hostAttempt) Run(ctx context.Context) (Outcome, error) {
	a.host.mu.Lock()
	a.host.begun[attemptOf(a.claim)]++
	a.host.mu.Unlock()
	o, err := a.host.program(ctx, a.claim)
	return a.host.retried(a.claim, o), err
}

func (a *hostAttempt) Close(context.Context) {}

// judge demands that no attempt's code started twice.
func (h *host) judge(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for attempt, n := range h.begun {
		if n > 1 {
			t.Errorf("the code of %s started %d times", attempt, n)
		}
	}
}

func (h *host) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.begun)
}

// stopped is how an attempt ends that was stopped.
func stopped(ctx context.Context) Outcome {
	if errors.Is(context.Cause(ctx), ErrStopping) {
		return Outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonWorkerStopped}
	}
	return Outcome{Status: attune.StatusCancelled, Reason: attune.ReasonCancelRequested}
}

// waits runs until it is asked to end.
func waits(ctx context.Context, _ Claim) (Outcome, error) {
	<-ctx.Done()
	return stopped(ctx), nil
}

// exits ends at once with a status.
func exits(code int) program {
	return func(context.Context, Claim) (Outcome, error) { return exited(code), nil }
}

func exited(code int) Outcome {
	if code == 0 {
		return Outcome{Status: attune.StatusCompleted, ExitCode: &code}
	}
	return Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode, ExitCode: &code}
}

// bench is a queue that runs, with a host for workers.
type bench struct {
	*Queue
	host   *host
	config WorkerConfig
}

func newBench(t *testing.T, p program, actions ...attune.Action) *bench {
	t.Helper()
	b := &bench{Queue: setup(t, actions...), host: newHost(p, actions...)}
	b.config = WorkerConfig{
		Name: "w", Capacity: 4, DB: b.db, Queue: b.Queue, Executor: b.host,
		PollInterval: 20 * time.Millisecond, DrainTimeout: 50 * time.Millisecond, Log: b.log,
	}
	inBackground(t, b.Run)
	return b
}

// inBackground runs until the test ends or the returned function is called, which waits for its end.
func inBackground(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// work runs a worker until the returned function is called, which waits for its end.
func (b *bench) work(t *testing.T, change func(*WorkerConfig)) (stop func()) {
	t.Helper()
	config := b.config
	if change != nil {
		change(&config)
	}
	w, err := NewWorker(config)
	if err != nil {
		t.Fatal(err)
	}
	return inBackground(t, w.Run)
}

func (b *bench) await(t *testing.T, id string, wanted func(attune.Execution) bool) attune.Execution {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		e, err := b.db.Executions.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if wanted(e) {
			return e
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("execution %s is %s for %q", id, e.Status, e.Reason)
		}
	}
}

func over(e attune.Execution) bool    { return e.Status.Terminal() }
func running(e attune.Execution) bool { return e.Status == attune.StatusRunning }
