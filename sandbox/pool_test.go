package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"attune"
	"attune/sandbox"
	"attune/sandbox/sandboxtest"
	program "attune/sandbox/sandboxtest/probe"
)

// poolUnderTest is a pool that looks often, and all actions are what they were when they were taken.
type poolUnderTest struct {
	*sandbox.Pool
	sandboxtest.Subject
	mu   sync.Mutex
	gone map[string]bool
	// stop ends the pool and waits for that.
	stop func()
}

func startPool(t *testing.T, s sandboxtest.Subject, config sandbox.PoolConfig) *poolUnderTest {
	t.Helper()
	p := &poolUnderTest{Subject: s, gone: make(map[string]bool)}
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
			return sandbox.Spec{}, false, errors.New("nobody knows")
		}
	}
	p.Pool = sandbox.NewPool(config)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { p.Pool.Run(ctx) })
	p.stop = func() { cancel(); running.Wait() }
	t.Cleanup(p.stop)
	return p
}

// await waits until the pool's figures are as wanted.
func (p *poolUnderTest) await(t *testing.T, what string, wanted func(sandbox.PoolStats) bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !wanted(p.Stats()); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: the pool has %+v", what, p.Stats())
		}
	}
}

func waiting(n int64) func(sandbox.PoolStats) bool {
	return func(s sandbox.PoolStats) bool { return s.Waiting == n }
}

// warmed asks an empty pool for a sandbox, and waits until it has one.
func (p *poolUnderTest) warmed(t *testing.T, action string, spec sandbox.Spec) {
	t.Helper()
	one := 1
	// The pool may be about to open.
	for p.Stats().Misses == 0 {
		if s, _ := p.Take(action, spec, &one); s != nil {
			t.Fatal("a sandbox was there before anybody had asked")
		}
	}
	p.await(t, "one waits", waiting(1))
}

func fakeSubject() sandboxtest.Subject {
	return sandboxtest.Subject{Runtime: sandboxtest.NewFake(program.Run), ImageDigest: "sha256:" + strings.Repeat("0", 64)}
}

func ownSubject(t *testing.T) sandboxtest.Subject {
	t.Helper()
	h := newHost(t)
	return h.subject(h.open(t))
}

func TestPoolGivesEachSandboxOnce(t *testing.T) {
	t.Parallel()
	p := startPool(t, ownSubject(t), sandbox.PoolConfig{})
	spec := p.Spec("", "early")
	p.warmed(t, "pack.action", spec)
	if other := p.Spec("", "echo"); !p.Ready("pack.action", spec) || p.Ready("pack.action", other) || p.Ready("pack.other", spec) {
		t.Error("it is ready for another sandbox, or for none")
	}
	seen := make(map[string]bool)
	for _, execution := range []string{"first", "second", "third"} {
		p.await(t, "one waits", func(s sandbox.PoolStats) bool { return s.Waiting > 0 })
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
	p.stop()
	p.AwaitNone(t)
}

// differs is what differs between any two processes.
var differs = regexp.MustCompile(`(?m)^(Pid|Tgid|NSpid|NSpgid|NSsid|PPid|NStgid|Vm\w+|Rss\w+|\w*voluntary\w*|Threads|SigQ|Hugetlb\w*|State):.*$` +
	`|/[^ ]*/\d+/fs|[ug]id=\d+|[ug]id \d+|\b\d+ MiB`)

// TestPoolSandboxIsAsAColdOne has the same program report from one made ahead and from one made at once.
func TestPoolSandboxIsAsAColdOne(t *testing.T) {
	t.Parallel()
	s := ownSubject(t)
	for name, mode := range map[string][]string{
		"privileges":  {"cat", "/proc/self/status", "/proc/self/limits", "/proc/self/cgroup", "/proc/self/oom_score_adj", "/proc/mounts"},
		"environment": {"environment"},
		"places":      {"write", "/tmp", "/", "/etc", "/run", "/dev", sandbox.PackDir},
		"interfaces":  {"interfaces"},
		"processes":   {"fork"},
		"tmp":         {"fill", "/tmp"},
		"calls":       {"syscalls"},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPool(t, s, sandbox.PoolConfig{})
			spec := p.Spec("", append([]string{"then"}, mode...)...)
			spec.Env = map[string]string{"LEVEL": "info"}
			p.warmed(t, "pack."+name, spec)
			made, _ := p.Take("pack."+name, spec, nil)
			if made == nil {
				t.Fatal("none waits")
			}
			var warm, complaints bytes.Buffer
			in := p.Input(name + "-warm")
			in.Stdout, in.Stderr = &warm, &complaints
			warmExit, err := made.Run(t.Context(), in)
			warm.Write(complaints.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			spec.ID = name + "-cold"
			coldExit, cold := look(t, s, spec)
			if differs.ReplaceAllString(warm.String(), "") != differs.ReplaceAllString(cold, "") || warmExit.Code != coldExit.Code || cold == "" {
				t.Errorf("made ahead, %d:\n%s\nmade at once, %d:\n%s", warmExit.Code, warm.String(), coldExit.Code, cold)
			}
		})
	}
}

// TestPoolYieldsTheProcessor looks at the weight that the kernel has for a sandbox, before and after it is used.
func TestPoolYieldsTheProcessor(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := startPool(t, h.subject(h.open(t)), sandbox.PoolConfig{})
	spec := p.Spec("", "hold")
	p.warmed(t, "pack.action", spec)
	made, id := p.Take("pack.action", spec, nil)
	group := filepath.Join("/sys/fs/cgroup/cpu", h.config.CgroupParent, id, "cpu.shares")
	low, high := "2", "1024"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		group, low, high = filepath.Join("/sys/fs/cgroup", h.config.CgroupParent, id, "cpu.weight"), "1", "100"
	}
	weight := func(want string) {
		if got, err := os.ReadFile(group); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("weight is %q, %v, not %s", got, err, want)
		}
	}
	weight(low)
	ctx, cancel := context.WithCancel(t.Context())
	in := p.Input("weight")
	in.Started = func() {
		weight(high)
		cancel()
	}
	if exit, err := made.Run(ctx, in); err != nil || !exit.Stopped {
		t.Errorf("%+v, %v", exit, err)
	}
}

func TestPoolDropsWhatHasEnded(t *testing.T) {
	t.Parallel()
	s := ownSubject(t)
	p := startPool(t, s, sandbox.PoolConfig{})
	spec := p.Spec("", "exit", "0")
	one := 1
	for p.Stats().Misses == 0 {
		p.Take("pack.action", spec, &one)
	}
	p.await(t, "it has ended", func(s sandbox.PoolStats) bool { return s.Failures == 1 && s.Waiting == 0 })
	if made, _ := p.Take("pack.action", spec, &one); made != nil {
		t.Error("somebody was given it")
	}
	p.stop()
	s.AwaitNone(t)
}

func TestPoolDrains(t *testing.T) {
	t.Parallel()
	t.Run("a new version", func(t *testing.T) {
		t.Parallel()
		p := startPool(t, fakeSubject(), sandbox.PoolConfig{})
		p.warmed(t, "pack.action", p.Spec("", "echo"))
		changed := p.Spec("", "echo")
		changed.Resources.MemoryBytes++
		one := 1
		if made, _ := p.Take("pack.action", changed, &one); made != nil {
			t.Error("a sandbox with other limits was given")
		}
		p.await(t, "only the new one waits", func(s sandbox.PoolStats) bool { return s.Drained == 1 && s.Waiting == 1 && s.Refills == 2 })
		p.stop()
		p.AwaitNone(t)
	})
	t.Run("a removed action", func(t *testing.T) {
		t.Parallel()
		p := startPool(t, fakeSubject(), sandbox.PoolConfig{})
		p.warmed(t, "pack.action", p.Spec("", "echo"))
		p.mu.Lock()
		p.gone["pack.action"] = true
		p.mu.Unlock()
		p.await(t, "none waits", waiting(0))
		p.AwaitNone(t)
	})
	t.Run("a changed action", func(t *testing.T) {
		t.Parallel()
		s := fakeSubject()
		var changed atomic.Bool
		p := startPool(t, s, sandbox.PoolConfig{Current: func(context.Context, string) (sandbox.Spec, bool, error) {
			spec := s.Spec("", "echo")
			if changed.Load() {
				spec.Network = attune.NetworkEgress
			}
			return spec, true, nil
		}})
		p.warmed(t, "pack.action", p.Spec("", "echo"))
		changed.Store(true)
		p.await(t, "none waits, although nobody asked", waiting(0))
		p.AwaitNone(t)
	})
	t.Run("age", func(t *testing.T) {
		t.Parallel()
		p := startPool(t, fakeSubject(), sandbox.PoolConfig{MaxAge: 50 * time.Millisecond})
		p.warmed(t, "pack.action", p.Spec("", "echo"))
		p.await(t, "it is replaced", func(s sandbox.PoolStats) bool { return s.Drained >= 2 && s.Refills >= 3 })
	})
	t.Run("no use", func(t *testing.T) {
		t.Parallel()
		p := startPool(t, fakeSubject(), sandbox.PoolConfig{KeepFor: 100 * time.Millisecond})
		p.warmed(t, "pack.action", p.Spec("", "echo"))
		p.await(t, "none waits", waiting(0))
		p.AwaitNone(t)
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		// Room for two of the fake's.
		p := startPool(t, fakeSubject(), sandbox.PoolConfig{MemoryBytes: 44 << 20})
		first, second, five := p.Spec("", "echo"), p.Spec("", "early"), 5
		p.warmed(t, "pack.first", first)
		p.Take("pack.second", second, &five)
		p.await(t, "what was used longest ago made room", func(s sandbox.PoolStats) bool {
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
