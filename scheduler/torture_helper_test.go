package scheduler

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"attune"
	"attune/storage"
)

// The helper is this test's program, run again as a worker that can be killed and stopped. These tell it what to be.
const (
	helperDatabase = "ATTUNE_HELPER_DATABASE"
	helperKey      = "ATTUNE_HELPER_KEY"
	helperStarts   = "ATTUNE_HELPER_STARTS"
	helperPoint    = "ATTUNE_HELPER_POINT"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(helperDatabase); url != "" {
		if err := help(url); err != nil {
			fmt.Fprintln(os.Stderr, "helper:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// The points where the helper stops to wait for what becomes of it; at no point it works on.
const (
	pointClaimed   = "claimed"   // a slot is taken, nothing has begun
	pointStarted   = "started"   // the code has started
	pointRecorded  = "recorded"  // and the database knows
	pointFinishing = "finishing" // the code is through, and nothing knows
)

// helper is the Executor of the helper. The file of starts is what its host remembers over its lives.
type helper struct {
	starts string
	point  string
	orders *bufio.Reader
}

var helperRetry = &attune.Retry{
	MaxAttempts: 20, BackoffSeconds: 0.01, MaxBackoffSeconds: 0.01, Reasons: []attune.Reason{attune.ReasonWorkerLost},
}

func (h *helper) Recover(_ context.Context, held []Claim) ([]Recovered, error) {
	text, err := os.ReadFile(h.starts)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	all := make([]Recovered, len(held))
	for i, c := range held {
		all[i].Claim = c
		if strings.Contains(string(text), attemptOf(c)+"\n") {
			o := Outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonWorkerLost}
			if c.Action == "ops.again" {
				o.RetryAfter = RetryAfter(helperRetry, c.Attempt, o)
			}
			all[i].Outcome = &o
		}
	}
	return all, nil
}

func (h *helper) Maintain(context.Context) {}

func (h *helper) Ready() bool { return true }

func (h *helper) Prepare(ctx context.Context, c Claim) (Attempt, error) {
	h.reach(pointClaimed)
	return &helperAttempt{h, c}, ctx.Err()
}

type helperAttempt struct {
	*helper
	claim Claim
}

func (a *helperAttempt) Run(ctx context.Context) (Outcome, error) {
	file, err := os.OpenFile(a.starts, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return Outcome{}, err
	}
	// One write to a file that is only appended to: whole, or not at all.
	_, err = fmt.Fprintln(file, attemptOf(a.claim))
	if err := errors.Join(err, file.Close()); err != nil {
		return Outcome{}, err
	}
	a.reach(pointStarted)
	if a.point == pointRecorded {
		pause(ctx, 4*startDelay)
	}
	a.reach(pointRecorded)
	a.reach(pointFinishing)
	return Outcome{Status: attune.StatusCompleted}, nil
}

func (a *helperAttempt) Close(context.Context) {}

// reach says where the helper is and waits for a line, when it is the point where it is to wait.
func (h *helper) reach(point string) {
	if point == h.point {
		fmt.Println("at", point)
		_, _ = h.orders.ReadString('\n')
	}
}

// help works until its input ends.
func help(url string) error {
	sealer, err := storage.NewSealer(os.Getenv(helperKey))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	db, err := storage.Open(ctx, url, sealer)
	if err != nil {
		return err
	}
	defer db.Close()
	h := &helper{starts: os.Getenv(helperStarts), point: os.Getenv(helperPoint), orders: bufio.NewReader(os.Stdin)}
	if h.point == "" {
		go func() {
			_, _ = h.orders.ReadString('\n')
			stop()
		}()
	}
	log := slog.New(slog.DiscardHandler)
	queue := NewQueue(db, log)
	ran := make(chan error, 1)
	go func() { ran <- queue.Run(ctx) }()
	w, err := NewWorker(WorkerConfig{
		Name: "helper", Capacity: 3, DB: db, Queue: queue, Executor: h, PollInterval: 20 * time.Millisecond, Log: log,
	})
	if err != nil {
		return err
	}
	err = w.Run(ctx)
	stop()
	return errors.Join(err, <-ran)
}

// helped is a helper as its parent sees it.
type helped struct {
	*exec.Cmd
	said   *bufio.Reader
	orders *os.File
}

// startHelper starts one that stops at a point.
func startHelper(t *testing.T, databaseURL, starts, point string) *helped {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key.json")
	if err := storage.CreateKeyFile(key); err != nil {
		t.Fatal(err)
	}
	h := &helped{Cmd: exec.CommandContext(t.Context(), os.Args[0])}
	h.Env = append(os.Environ(), helperDatabase+"="+databaseURL, helperKey+"="+key, helperStarts+"="+starts,
		helperPoint+"="+point)
	h.Stderr = os.Stderr
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h.Stdin, h.orders = read, write
	out, err := h.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.said = bufio.NewReader(out)
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	t.Cleanup(func() { _ = write.Close() })
	return h
}

// await returns when it says so.
func (h *helped) await(t *testing.T, wanted string) {
	t.Helper()
	if line, err := h.said.ReadString('\n'); strings.TrimSpace(line) != wanted {
		t.Fatalf("the helper says %q (%v), want %q", line, err, wanted)
	}
}

// kill ends it as the kernel does, with no time for anything.
func (h *helped) kill(t *testing.T) {
	t.Helper()
	if err := h.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = h.Wait()
}

// dismiss lets it end by itself; it is one that stops at no point.
func (h *helped) dismiss(t *testing.T) {
	t.Helper()
	_ = h.orders.Close()
	if err := h.Wait(); err != nil {
		t.Errorf("the helper ended: %v", err)
	}
}

// expectSingleStarts reads which attempts' code has started, and demands that none did twice.
func expectSingleStarts(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		if seen[line] {
			t.Errorf("the code of %s started twice", strings.TrimSpace(line))
		}
		seen[line] = true
	}
}
