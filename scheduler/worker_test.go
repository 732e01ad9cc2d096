package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"attune"
	"attune/sandbox"
	"attune/sandbox/sandboxtest"
	"attune/sandbox/sandboxtest/probe"
	"attune/storage/logs"
	"attune/storage/storagetest"
)

// anyImage is a host that has every image, or none.
type anyImage bool

func (has anyImage) Has(context.Context, string) (bool, error) { return bool(has), nil }

// bench is a queue with a worker whose sandboxes are functions.
type bench struct {
	*Queue
	logs      *logs.Store
	runtime   *sandboxtest.Fake
	config    WorkerConfig
	sandboxes *Sandboxes
}

func newBench(t *testing.T, program sandboxtest.Program, actions ...attune.Action) *bench {
	t.Helper()
	b := &bench{Queue: setup(t, actions...), logs: storagetest.OpenLogs(t), runtime: sandboxtest.NewFake(program)}
	b.sandboxes = &Sandboxes{
		DB: b.db, Runtime: b.runtime, Images: anyImage(true), Logs: b.logs, Grace: 10 * time.Millisecond, Log: b.log,
	}
	b.config = WorkerConfig{
		Name: "w", Capacity: 4, DB: b.db, Queue: b.Queue, Executor: b.sandboxes,
		PollInterval: 20 * time.Millisecond, DrainTimeout: 50 * time.Millisecond, Log: b.log,
	}
	return b
}

// work runs a worker until the returned function is called, which waits for its end.
func (b *bench) work(t *testing.T, change func(*WorkerConfig, *Sandboxes)) (stop func()) {
	t.Helper()
	config, like := b.config, b.sandboxes
	// Each life of a worker has its own.
	sandboxes := &Sandboxes{
		DB: like.DB, Runtime: like.Runtime, Images: like.Images, Logs: like.Logs, LogBytes: like.LogBytes, Grace: like.Grace, Log: like.Log,
	}
	config.Executor = sandboxes
	if change != nil {
		change(&config, sandboxes)
	}
	w, err := NewWorker(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
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

// waits runs until it is asked to end.
func waits(terminated context.Context, _ probe.Process) int {
	<-terminated.Done()
	return 143
}

func TestWorkerTakesAnExecutionToItsEnd(t *testing.T) {
	t.Parallel()
	var document []byte
	b := newBench(t, func(_ context.Context, p probe.Process) int {
		document, _ = io.ReadAll(p.Stdin)
		_, _ = io.WriteString(p.Stdout, "hello")
		_, _ = io.WriteString(p.Stderr, "careful")
		_, _ = io.WriteString(p.Result, `{"ok": true}`)
		return 0
	}, func() attune.Action { a := action("greet", 1); a.Secrets = []string{"key"}; return a }())
	if err := b.db.Secrets.Set(t.Context(), "key", attune.Scope{Pack: "ops"}, []byte("very secret")); err != nil {
		t.Fatal(err)
	}
	b.work(t, nil)
	e := submit(t, b.Queue, "ops.greet")
	e = b.await(t, e.ID, over)
	if e.Status != attune.StatusCompleted || string(e.Result) != `{"ok": true}` || *e.ExitCode != 0 || e.Worker != "w" {
		t.Errorf("ended as %+v", e)
	}
	if e.ScheduledAt.Before(e.CreatedAt) || e.StartedAt.Before(*e.ScheduledAt) || e.FinishedAt.Before(*e.StartedAt) {
		t.Errorf("times are out of order: %+v", e)
	}
	if !strings.Contains(string(document), `"secrets":{"key":"very secret"}`) {
		t.Error("the document lacks the secret")
	}
	prefix := logs.ExecutionPrefix("ops", "greet", e.CreatedAt, e.ID)
	for stream, want := range map[string]string{"stdout": "hello", "stderr": "careful"} {
		if page, err := b.logs.Page(t.Context(), prefix, stream, 0, 100, false); err != nil || page.Content != want {
			t.Errorf("%s is %+v, %v", stream, page, err)
		}
	}
}

func TestWorkersShareAQueueInOrder(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var order []string
	b := newBench(t, func(_ context.Context, p probe.Process) int {
		var d struct{ Execution struct{ ID string } }
		if err := json.NewDecoder(p.Stdin).Decode(&d); err != nil {
			return 1
		}
		mu.Lock()
		defer mu.Unlock()
		order = append(order, d.Execution.ID)
		return 0
	}, action("one", 1))
	var want []string
	for range 12 {
		want = append(want, submit(t, b.Queue, "ops.one").ID)
	}
	for i := range 3 {
		b.work(t, func(c *WorkerConfig, _ *Sandboxes) { c.Name = fmt.Sprint("w", i) })
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

func TestDrainStopsWhatRunsAndHandsBackTheRest(t *testing.T) {
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

func TestNextLifeSettlesWhatTheEarlierLeft(t *testing.T) {
	t.Parallel()
	b := newBench(t, waits, action("free", 0))
	begun, held := submit(t, b.Queue, "ops.free"), submit(t, b.Queue, "ops.free")
	claims := admit(t, b.Queue, "w", 2)
	begin(t, b.Queue, "w", claims[0])
	if err := b.runtime.Leave(begun.ID + "-1"); err != nil {
		t.Fatal(err)
	}
	b.work(t, nil)
	if e := b.await(t, begun.ID, over); e.Status != attune.StatusAbandoned || e.Reason != attune.ReasonWorkerLost {
		t.Errorf("what had begun ended as %s for %s", e.Status, e.Reason)
	}
	// It goes back to its place and is taken again.
	b.await(t, held.ID, running)
	if left, err := b.runtime.List(t.Context()); err != nil || slices.Contains(left, begun.ID+"-1") {
		t.Errorf("the sandbox is still there: %v, %v", left, err)
	}
}

func TestWhatIsMissingAtTheStartFails(t *testing.T) {
	t.Parallel()
	secretive := action("secretive", 0)
	secretive.Secrets = []string{"key"}
	for name, test := range map[string]struct {
		action string
		has    anyImage
		reason attune.Reason
	}{
		"secret": {"ops.secretive", true, attune.ReasonSecretMissing},
		"image":  {"ops.plain", false, attune.ReasonImageMissing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, waits, secretive, action("plain", 0))
			if err := b.db.Secrets.Set(t.Context(), "key", attune.Scope{}, []byte("v")); err != nil {
				t.Fatal(err)
			}
			e := submit(t, b.Queue, test.action)
			if err := b.db.Secrets.Delete(t.Context(), "key", attune.Scope{}); err != nil {
				t.Fatal(err)
			}
			b.work(t, func(_ *WorkerConfig, s *Sandboxes) { s.Images = test.has })
			if e = b.await(t, e.ID, over); e.Status != attune.StatusFailed || e.Reason != test.reason {
				t.Errorf("ended as %s for %s, want failed for %s", e.Status, e.Reason, test.reason)
			}
		})
	}
}

// haunted is a Runtime whose sandboxes vanish from sight after their start, and come off only after some tries.
type haunted struct {
	*sandboxtest.Fake
	mu    sync.Mutex
	tries map[string]int
}

func (h *haunted) Create(_ context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	return vanishing{}, h.Leave(spec.ID)
}

type vanishing struct{ sandbox.Sandbox }

func (vanishing) Run(_ context.Context, in sandbox.Input) (sandbox.Exit, error) {
	in.Started()
	return sandbox.Exit{}, errors.New("lost from sight")
}

func (h *haunted) Remove(ctx context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tries[id]++; h.tries[id] < 3 {
		return errors.New("still busy")
	}
	return h.Fake.Remove(ctx, id)
}

func TestSlotIsFreedOnlyWhenTheSandboxIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t, waits, action("one", 1))
	runtime := &haunted{Fake: b.runtime, tries: make(map[string]int)}
	first, second := submit(t, b.Queue, "ops.one"), submit(t, b.Queue, "ops.one")
	b.work(t, func(_ *WorkerConfig, s *Sandboxes) { s.Runtime = runtime })
	e := b.await(t, first.ID, over)
	if e.Status != attune.StatusAbandoned || e.Reason != attune.ReasonSandboxLost {
		t.Errorf("ended as %s for %s", e.Status, e.Reason)
	}
	runtime.mu.Lock()
	if n := runtime.tries[first.ID+"-1"]; n != 3 {
		t.Errorf("its slot was freed after %d tries to remove the sandbox, want 3", n)
	}
	runtime.mu.Unlock()
	next := b.await(t, second.ID, over)
	if next.ScheduledAt.Before(*e.FinishedAt) {
		t.Error("the next one was admitted before")
	}
}

func TestFullDiskLeavesTheQueueAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=16m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	crowded, err := logs.Open(storagetest.OpenObjects(t).Logs(), dir)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, waits, action("free", 0))
	e := submit(t, b.Queue, "ops.free")
	stop := b.work(t, func(_ *WorkerConfig, s *Sandboxes) { s.Logs = crowded })
	// It looks right after it has said that it lives, and has looked when it has come to its end.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for alive := 0; alive == 0; <-tick.C {
		workers, err := b.db.Workers.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		alive = len(workers)
	}
	stop()
	if e, err = b.db.Executions.Get(t.Context(), e.ID); err != nil || e.Status != attune.StatusQueued {
		t.Errorf("on a full disk it is %s (%v), want queued", e.Status, err)
	}
	b.work(t, nil)
	b.await(t, e.ID, running)
}
