package sandbox_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"attune"
	"attune/sandbox"
	"attune/sandbox/sandboxtest"
	program "attune/sandbox/sandboxtest/probe"
)

func fakeSubject() sandboxtest.Subject {
	return sandboxtest.Subject{Runtime: sandboxtest.NewFake(program.Run), ImageDigest: "sha256:" + strings.Repeat("0", 64)}
}

func TestPool(t *testing.T) {
	t.Parallel()
	sandboxtest.PoolSuite(t, func(*testing.T) sandboxtest.Subject { return fakeSubject() })
}

func TestPoolDrains(t *testing.T) {
	t.Parallel()
	t.Run("a new version", func(t *testing.T) {
		t.Parallel()
		p := sandboxtest.StartPool(t, fakeSubject(), sandbox.PoolConfig{})
		p.Warm(t, "pack.action", p.Spec("", "echo"))
		changed := p.Spec("", "echo")
		changed.Resources.MemoryBytes++
		one := 1
		if made, _ := p.Take("pack.action", changed, &one); made != nil {
			t.Error("a sandbox with other limits was given")
		}
		p.Await(t, "only the new one waits", func(s sandbox.PoolStats) bool {
			return s.Drained == 1 && s.Waiting == 1 && s.Refills == 2
		})
		p.Stop()
		p.AwaitNone(t)
	})
	t.Run("a removed action", func(t *testing.T) {
		t.Parallel()
		p := sandboxtest.StartPool(t, fakeSubject(), sandbox.PoolConfig{})
		p.Warm(t, "pack.action", p.Spec("", "echo"))
		p.Uninstall("pack.action")
		p.Await(t, "none waits", sandboxtest.Waiting(0))
		p.AwaitNone(t)
	})
	t.Run("a changed action", func(t *testing.T) {
		t.Parallel()
		s := fakeSubject()
		var changed atomic.Bool
		current := func(context.Context, string) (sandbox.Spec, bool, error) {
			spec := s.Spec("", "echo")
			if changed.Load() {
				spec.Network = attune.NetworkEgress
			}
			return spec, true, nil
		}
		p := sandboxtest.StartPool(t, s, sandbox.PoolConfig{Current: current})
		p.Warm(t, "pack.action", p.Spec("", "echo"))
		changed.Store(true)
		p.Await(t, "none waits, although none was taken", sandboxtest.Waiting(0))
		p.AwaitNone(t)
	})
	t.Run("age", func(t *testing.T) {
		t.Parallel()
		p := sandboxtest.StartPool(t, fakeSubject(), sandbox.PoolConfig{MaxAge: 50 * time.Millisecond})
		p.Warm(t, "pack.action", p.Spec("", "echo"))
		p.Await(t, "it is replaced", func(s sandbox.PoolStats) bool { return s.Drained >= 2 && s.Refills >= 3 })
	})
	t.Run("no use", func(t *testing.T) {
		t.Parallel()
		p := sandboxtest.StartPool(t, fakeSubject(), sandbox.PoolConfig{KeepFor: 2 * time.Second})
		p.Warm(t, "pack.action", p.Spec("", "echo"))
		p.Await(t, "none waits", sandboxtest.Waiting(0))
		p.AwaitNone(t)
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		// Room for two of the fake's.
		p := sandboxtest.StartPool(t, fakeSubject(), sandbox.PoolConfig{MemoryBytes: 44 << 20})
		first, second, five := p.Spec("", "echo"), p.Spec("", "early"), 5
		p.Warm(t, "pack.first", first)
		p.Take("pack.second", second, &five)
		p.Await(t, "what was used longest ago made room", func(s sandbox.PoolStats) bool {
			return s.Drained == 1 && s.Waiting > 1 && s.MemoryBytes <= 44<<20
		})
		if made, _ := p.Take("pack.first", first, nil); made != nil {
			t.Error("the first is still there")
		}
	})
	t.Run("no memory at all", func(t *testing.T) {
		t.Parallel()
		s := fakeSubject()
		p := sandbox.NewPool(sandbox.PoolConfig{Runtime: s.Runtime})
		p.Run(t.Context())
		if made, _ := p.Take("pack.action", s.Spec("", "echo"), nil); made != nil || p.Stats() != (sandbox.PoolStats{}) {
			t.Errorf("%v, %+v", made, p.Stats())
		}
	})
}

// slowRuntime makes sandboxes whose memory cannot be read until release is closed; reading is told of the first try.
type slowRuntime struct {
	sandbox.Runtime
	reading, release chan struct{}
}

type slowSandbox struct {
	sandbox.Sandbox
	runtime slowRuntime
}

func (r slowRuntime) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	made, err := r.Runtime.Create(ctx, spec)
	if slices.Contains(spec.Args, "slow") {
		made = slowSandbox{made, r}
	}
	return made, err
}

func (s slowSandbox) Waiting() (sandbox.Waiting, error) {
	select {
	case s.runtime.reading <- struct{}{}:
	default:
	}
	<-s.runtime.release
	return s.Sandbox.Waiting()
}

func TestPoolTakeDoesNotWaitForACheck(t *testing.T) {
	t.Parallel()
	s := fakeSubject()
	slow := slowRuntime{s.Runtime, make(chan struct{}, 1), make(chan struct{})}
	s.Runtime = slow
	p := sandboxtest.StartPool(t, s, sandbox.PoolConfig{})
	defer close(slow.release)
	one := 1
	p.Warm(t, "pack.action", p.Spec("", "echo"))
	p.Take("pack.slow", p.Spec("", "echo", "slow"), &one)
	<-slow.reading
	taken := make(chan sandbox.Sandbox, 1)
	go func() {
		made, _ := p.Take("pack.action", p.Spec("", "echo"), &one)
		taken <- made
	}()
	select {
	case made := <-taken:
		if made == nil {
			t.Error("the sandbox that was ready is not given")
		}
	case <-time.After(5 * time.Second):
		t.Error("Take waits for the check of another action's sandbox")
	}
}

// busyRuntime makes sandboxes that have taken some processor time.
type busyRuntime struct {
	sandbox.Runtime
	took time.Duration
}

type busySandbox struct {
	sandbox.Sandbox
	took time.Duration
}

func (r busyRuntime) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	made, err := r.Runtime.Create(ctx, spec)
	return busySandbox{made, r.took}, err
}

func (s busySandbox) Waiting() (sandbox.Waiting, error) {
	took, err := s.Sandbox.Waiting()
	took.CPU = s.took
	return took, err
}

// TestPoolDropsWhatIsBusy: a sandbox that computes while it waits is given to no execution, and no other is made before
// the next use.
func TestPoolDropsWhatIsBusy(t *testing.T) {
	t.Parallel()
	s := fakeSubject()
	s.Runtime = busyRuntime{s.Runtime, 11 * time.Second}
	p := sandboxtest.StartPool(t, s, sandbox.PoolConfig{})
	one := 1
	for p.Stats().Misses == 0 {
		p.Take("pack.busy", p.Spec("", "echo"), &one)
	}
	p.Await(t, "it is dropped", func(s sandbox.PoolStats) bool { return s.Failures == 1 && s.Waiting == 0 })
	if stats := p.Stats(); stats.Refills != 1 {
		t.Errorf("%+v", stats)
	}
	s.Runtime = busyRuntime{s.Runtime.(busyRuntime).Runtime, 9 * time.Second}
	calm := sandboxtest.StartPool(t, s, sandbox.PoolConfig{})
	calm.Warm(t, "pack.calm", calm.Spec("", "echo"))
}
