package executor

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"attune"
	"attune/sandbox/sandboxtest"
	"attune/sandbox/sandboxtest/probe"
	"attune/scheduler"
	"attune/storage/logs"
	"attune/storage/s3"
	"attune/storage/storagetest"
)

// host is an executor whose sandboxes are functions, with a database and a bucket of its own.
type host struct {
	*Executor
	runtime *sandboxtest.Fake
	// spool is the folder of the logs, and objects where they go.
	spool   string
	objects *s3.Store
	bucket  storagetest.Bucket
}

func setup(t *testing.T, program sandboxtest.Program, changes ...func(*Config)) *host {
	t.Helper()
	config := storagetest.S3Config(t)
	return setupAt(t, config, config.Endpoint, program, changes...)
}

// setupAt reaches object storage at another endpoint than the one through which it looks into the bucket.
func setupAt(
	t *testing.T, config s3.Config, endpoint string, program sandboxtest.Program, changes ...func(*Config),
) *host {
	t.Helper()
	h := &host{
		runtime: sandboxtest.NewFake(program), spool: t.TempDir(),
		bucket: storagetest.OpenBucket(t, config, config.LogBucket),
	}
	config.Endpoint = endpoint
	var err error
	if h.objects, err = s3.Open(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.objects.Close)
	c := Config{
		DB: storagetest.OpenDB(t), Runtime: h.runtime, HasImage: hasImage(true), Logs: h.openLogs(t, h.spool),
		StateDir: t.TempDir(), Marks: t.TempDir(),
		Grace: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	}
	for _, change := range changes {
		change(&c)
	}
	h.Executor = open(t, c)
	return h
}

func open(t *testing.T, c Config) *Executor {
	t.Helper()
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// openLogs uses a spool as another process would.
func (h *host) openLogs(t *testing.T, spool string) *logs.Store {
	t.Helper()
	store, err := logs.Open(h.objects.Logs(), spool)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func hasImage(has bool) func(context.Context, string) (bool, error) {
	return func(context.Context, string) (bool, error) { return has, nil }
}

var digest = "sha256:" + strings.Repeat("0", 64)

// claim installs an action and returns the claim of its first execution.
func (h *host) claim(t *testing.T, a attune.Action) scheduler.Claim {
	t.Helper()
	a.Ref, a.Pack, a.RunnerType, a.EntryPoint, a.Network = "ops.a", "ops", attune.RunnerShell, "a.sh", attune.NetworkNone
	a.Resources = attune.Resources{
		CPU: attune.DefaultCPU, MemoryBytes: attune.DefaultMemoryBytes,
		Pids: attune.DefaultPids, TmpBytes: attune.DefaultTmpBytes,
	}
	if a.TimeoutSeconds == 0 {
		a.TimeoutSeconds = 60
	}
	manifest := attune.Manifest{Ref: "ops", Version: "1.0.0", Actions: []attune.Action{a}}
	installation, err := h.DB.Installations.Create(t.Context(), manifest, strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	return scheduler.Claim{
		ID: uuid.NewString(), Attempt: 1, Action: a.Ref, Pack: a.Pack, PackVersion: "1.0.0", InstallationID: installation.ID,
		ImageDigest: digest, Parameters: json.RawMessage(`{"n":1}`), CreatedAt: time.Now(),
	}
}

// run takes a claim to its outcome and its attempt to its end.
func (h *host) run(t *testing.T, c scheduler.Claim) scheduler.Outcome {
	t.Helper()
	a := h.prepare(t, c)
	o, err := a.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.Close(t.Context())
	return o
}

func (h *host) prepare(t *testing.T, c scheduler.Claim) scheduler.Attempt {
	t.Helper()
	a, err := h.Prepare(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// maintain runs Maintain until the test ends.
func (h *host) maintain(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Maintain(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

func wantOutcome(t *testing.T, o scheduler.Outcome, status attune.Status, reason attune.Reason) {
	t.Helper()
	if o.Status != status || o.Reason != reason {
		t.Errorf("it ended as %s for %q, want %s for %q", o.Status, o.Reason, status, reason)
	}
}

// wantKeys wants these objects of an execution, and no others.
func (h *host) wantKeys(t *testing.T, c scheduler.Claim, keys ...string) {
	t.Helper()
	if got := h.bucket.Keys(prefixOf(c)); !slices.Equal(got, keys) {
		t.Errorf("the bucket has %q, want %q", got, keys)
	}
}

func (h *host) awaitKeys(t *testing.T, c scheduler.Claim, keys ...string) {
	t.Helper()
	eventually(t, func() bool { return slices.Equal(h.bucket.Keys(prefixOf(c)), keys) })
}

func (h *host) wantContent(t *testing.T, c scheduler.Claim, key, content string) {
	t.Helper()
	if got := string(h.bucket.Read(prefixOf(c) + key)); got != content {
		t.Errorf("%s is %q, want %q", key, got, content)
	}
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to be in time")
		}
	}
}

// exits ends at once.
func exits(code int) sandboxtest.Program {
	return func(context.Context, probe.Process) int { return code }
}

// waits says so and runs until it is asked to end.
func waits(terminated context.Context, p probe.Process) int {
	_, _ = io.WriteString(p.Stdout, "waiting")
	<-terminated.Done()
	return 143
}

// greets leaves something of each kind.
func greets(_ context.Context, p probe.Process) int {
	_, _ = io.Copy(io.Discard, p.Stdin)
	_, _ = io.WriteString(p.Stdout, "hello")
	_, _ = io.WriteString(p.Stderr, "careful")
	_, _ = io.WriteString(p.Result, `{"ok": true}`)
	_ = p.Leave("note.txt", "hello")
	return 0
}
