package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"attune/sandbox"
)

// Pool is a sandbox.Pool under test: it that looks often, and all actions are what they were when they were taken.
type Pool struct {
	*sandbox.Pool
	Subject
	mu   sync.Mutex
	gone map[string]bool
	// Stop ends the pool and waits for that.
	Stop func()
}

// StartPool runs a pool until the test ends.
func StartPool(t *testing.T, s Subject, config sandbox.PoolConfig) *Pool {
	t.Helper()
	p := &Pool{Subject: s, gone: make(map[string]bool)}
	config.Runtime, config.Interval, config.Log = s.Runtime, 10*time.Millisecond, slog.New(slog.DiscardHandler)
	if config.MemoryBytes == 0 {
		config.MemoryBytes = 1 << 30
	}
	if config.Current == nil {
		config.Current = func(_ context.Context, action string) (sandbox.Spec, bool, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.gone[action] {
				return sandbox.Spec{}, false, nil
			}
			return sandbox.Spec{}, false, errors.New("unknown")
		}
	}
	p.Pool = sandbox.NewPool(config)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { p.Pool.Run(ctx) })
	p.Stop = func() { cancel(); running.Wait() }
	t.Cleanup(p.Stop)
	return p
}

// Await waits until the pool's figures are as wanted.
func (p *Pool) Await(t *testing.T, what string, wanted func(sandbox.PoolStats) bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !wanted(p.Stats()); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: the pool has %+v", what, p.Stats())
		}
	}
}

// Waiting wants n sandboxes that wait.
func Waiting(n int64) func(sandbox.PoolStats) bool {
	return func(s sandbox.PoolStats) bool { return s.Waiting == n }
}

// Warm asks an empty pool for a sandbox, and waits until it has one.
func (p *Pool) Warm(t *testing.T, action string, spec sandbox.Spec) {
	t.Helper()
	one := 1
	// The pool may be about to open.
	for p.Stats().Misses == 0 {
		if s, _ := p.Take(action, spec, &one); s != nil {
			t.Fatal("a sandbox was there before anybody had asked")
		}
	}
	p.Await(t, "one waits", Waiting(1))
}

// Uninstall has the action no longer be there.
func (p *Pool) Uninstall(action string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone[action] = true
}

// PoolSuite holds for a pool of every Runtime. setup is called once for each part, which run in parallel.
func PoolSuite(t *testing.T, setup func(t *testing.T) Subject) {
	t.Helper()
	for name, part := range map[string]func(*testing.T, Subject){
		"gives each sandbox once":  poolGivesEachOnce,
		"drops one that has ended": poolDropsWhatHasEnded,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, setup(t))
		})
	}
}

func poolGivesEachOnce(t *testing.T, s Subject) {
	p := StartPool(t, s, sandbox.PoolConfig{})
	spec := p.Spec("", "early")
	p.Warm(t, "pack.action", spec)
	other := p.Spec("", "echo")
	if !p.Ready("pack.action", spec) || p.Ready("pack.action", other) || p.Ready("pack.other", spec) {
		t.Error("it is ready for another sandbox, or for none")
	}
	seen := make(map[string]bool)
	for _, execution := range []string{"first", "second", "third"} {
		p.Await(t, "one waits", func(s sandbox.PoolStats) bool { return s.Waiting > 0 })
		made, id := p.Take("pack.action", spec, nil)
		if made == nil || seen[id] {
			t.Fatalf("got %v with the id %q after %v", made, id, seen)
		}
		seen[id] = true
		var out bytes.Buffer
		in := p.Input(execution)
		in.Stdin, in.Stdout = []byte(execution), &out
		exit, err := made.Run(t.Context(), in)
		p.Runtime.Forget(execution)
		// What it printed while it waited belongs to its run.
		if err != nil || exit.Code != 0 || out.String() != "early "+execution {
			t.Errorf("%+v, %v, said %q", exit, err, out.String())
		}
	}
	p.Stop()
	p.AwaitNone(t)
}

func poolDropsWhatHasEnded(t *testing.T, s Subject) {
	p := StartPool(t, s, sandbox.PoolConfig{})
	spec := p.Spec("", "exit", "0")
	one := 1
	for p.Stats().Misses == 0 {
		p.Take("pack.action", spec, &one)
	}
	p.Await(t, "it has ended", func(s sandbox.PoolStats) bool { return s.Failures == 1 && s.Waiting == 0 })
	if made, _ := p.Take("pack.action", spec, &one); made != nil {
		t.Error("it was given away")
	}
	p.Stop()
	s.AwaitNone(t)
}
