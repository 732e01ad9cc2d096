package containerd_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"attune/sandbox"
	"attune/sandbox/sandboxtest"
)

func TestPool(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, _ host, s sandboxtest.Subject, _ traits) {
		sandboxtest.PoolSuite(t, func(t *testing.T) sandboxtest.Subject {
			own := newHost(t)
			subject := own.subject(own.open(t))
			subject.With = s.With
			return subject
		})
	})
}

// differs is what differs between any two processes.
var differs = regexp.MustCompile(`(?m)^(Pid|Tgid|NSpid|NSpgid|NSsid|PPid|NStgid|Vm\w+|Rss\w+|\w*voluntary\w*|` +
	`Threads|SigQ|Hugetlb\w*|State):.*$` +
	`|/[^ ]*/\d+/fs|[ug]id=\d+|[ug]id \d+|\b\d+ MiB`)

// TestPoolSandboxIsAsAColdOne has the same program report from one made ahead and from one made at once.
func TestPoolSandboxIsAsAColdOne(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, _ host, s sandboxtest.Subject, _ traits) {
		for name, mode := range map[string][]string{
			"privileges": {
				"cat", "/proc/self/status", "/proc/self/limits", "/proc/self/cgroup", "/proc/self/oom_score_adj", "/proc/mounts",
			},
			"environment": {"environment"},
			"places":      {"write", "/tmp", "/", "/etc", "/run", "/dev", sandbox.PackDir},
			"interfaces":  {"interfaces"},
			"processes":   {"fork"},
			"tmp":         {"fill", "/tmp"},
			"calls":       {"syscalls"},
		} {
			t.Run(name, func(t *testing.T) {
				p := sandboxtest.StartPool(t, s, sandbox.PoolConfig{})
				spec := p.Spec("", append([]string{"then"}, mode...)...)
				spec.Env = map[string]string{"LEVEL": "info"}
				p.Warm(t, "pack."+name, spec)
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
				if differs.ReplaceAllString(warm.String(), "") != differs.ReplaceAllString(cold, "") ||
					warmExit.Code != coldExit.Code || cold == "" {
					t.Errorf("made ahead, %d:\n%s\nmade at once, %d:\n%s", warmExit.Code, warm.String(), coldExit.Code, cold)
				}
			})
		}
	})
}

// TestPoolYieldsTheProcessor looks at the weight that the kernel has for a sandbox, before and after it is used.
func TestPoolYieldsTheProcessor(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, h host, s sandboxtest.Subject, _ traits) {
		p := sandboxtest.StartPool(t, s, sandbox.PoolConfig{})
		spec := p.Spec("", "hold")
		p.Warm(t, "pack.action", spec)
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
	})
}
