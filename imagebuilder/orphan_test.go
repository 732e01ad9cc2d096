package imagebuilder

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestNewEndsOrphanedShims plays a worker that dies while containerd starts a shim for it: containerd kills the
// starter, and does not know the shim, which lives on.
func TestNewEndsOrphanedShims(t *testing.T) {
	t.Parallel()
	config := testConfig(t, t.TempDir())
	config.Network = nil
	b, err := New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	used := b.startShim(t)
	b.leaveOrphanedShim(t)
	next, err := New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	within(t, "only the shim in use is left", func() bool { return len(b.shims(t, "cwd", "")) == 1 })
	if len(b.shims(t, "cwd", used)) != 1 {
		t.Error("the shim in use has ended")
	}
}

// startShim starts what looks like a shim of another container, in a folder that is there.
func (b *Builder) startShim(t *testing.T) (folder string) {
	t.Helper()
	shim := exec.CommandContext(t.Context(), "sh", "-c", "read _",
		"-namespace", b.config.Namespace, "-address", b.config.Address)
	shim.Args[0], shim.Dir = "containerd-shim-test", t.TempDir()
	stdin, err := shim.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = shim.Wait()
	})
	return shim.Dir
}

// slowShim starts a shim as the real one does, signals that, and never says where the shim listens.
const slowShim = `#!/bin/sh
shim=%[1]s/containerd-shim-runc-v2
case "$*" in
*start) "$shim" "$@" && echo >%[2]s/begun && read -r _ <%[2]s/never ;;
*) exec "$shim" "$@" ;;
esac
`

// leaveOrphanedShim returns when containerd has given a shim up.
func (b *Builder) leaveOrphanedShim(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for _, pipe := range []string{"begun", "never"} {
		if err := unix.Mkfifo(filepath.Join(dir, pipe), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shim := filepath.Join(dir, "shim")
	if err := os.WriteFile(shim, fmt.Appendf(nil, slowShim, env(t, "ATTUNE_TEST_BIN_DIR"), dir), 0o700); err != nil {
		t.Fatal(err)
	}
	spec, err := typeurl.MarshalAny(&specs.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	record := containers.Container{ID: "stray", Spec: spec, Runtime: containers.RuntimeInfo{Name: shim}}
	ctx, cancel := context.WithCancel(b.context(t.Context()))
	defer cancel()
	if _, err := b.client.ContainerService().Create(ctx, record); err != nil {
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	go func() {
		_, err := b.client.TaskService().Create(ctx, &tasks.CreateTaskRequest{ContainerID: record.ID})
		asked <- err
	}()
	if _, err := os.ReadFile(filepath.Join(dir, "begun")); err != nil {
		t.Fatal(err)
	}
	// Before, it would not survive the loss of its folder.
	within(t, "the shim has its log", func() bool { return len(b.shims(t, "fd/2", "/stray/log")) == 1 })
	cancel()
	if err := <-asked; err == nil {
		t.Error("it was made")
	}
	if err := b.client.ContainerService().Delete(b.context(t.Context()), record.ID); err != nil {
		t.Error(err)
	}
	within(t, "containerd has given it up", func() bool { return len(b.shims(t, "cwd", " (deleted)")) == 1 })
}

// shims are the processes of shims in the builder's namespace with a link in /proc that ends as given.
func (b *Builder) shims(t *testing.T, link, end string) (found []string) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		// It may have ended, and then has neither.
		args, _ := os.ReadFile(filepath.Join(process, "cmdline"))
		to, _ := os.Readlink(filepath.Join(process, link))
		if strings.Contains(string(args), "\x00-namespace\x00"+b.config.Namespace+"\x00") && strings.HasSuffix(to, end) {
			found = append(found, process)
		}
	}
	return found
}

// within waits for what must become so soon.
func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 seconds it is not so that %s", what)
		}
	}
}
