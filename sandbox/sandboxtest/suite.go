package sandboxtest

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"attune"
	"attune/sandbox"
)

// Subject is a Runtime under test.
type Subject struct {
	Runtime sandbox.Runtime
	// ImageDigest is of an image with the probe, and Probe the command that starts it.
	ImageDigest string
	Probe       []string
}

// Spec runs the probe with arguments, under limits that are enough for every mode.
func (s Subject) Spec(id string, args ...string) sandbox.Spec {
	return sandbox.Spec{
		ID: id, ImageDigest: s.ImageDigest, Args: append(s.Probe[:len(s.Probe):len(s.Probe)], args...),
		Network:   attune.NetworkNone,
		Resources: attune.Resources{CPU: 1, MemoryBytes: 128 << 20, Pids: 64, TmpBytes: 16 << 20},
		Timeout:   time.Minute, Grace: 200 * time.Millisecond,
	}
}

// Suite holds for every Runtime. setup is called once for each part, which run in parallel.
func Suite(t *testing.T, setup func(t *testing.T) Subject) {
	t.Helper()
	for name, part := range map[string]func(*testing.T, Subject){
		"stdin arrives whole and ends":            stdinArrives,
		"streams stay apart":                      streamsStayApart,
		"exit status":                             exitStatus,
		"result and failure":                      resultAndFailure,
		"a flood arrives whole":                   floodArrives,
		"timeout":                                 timesOut,
		"cancel":                                  cancels,
		"cancel before the start":                 cancelsEarly,
		"one that will not end is killed":         killsStubborn,
		"a document nobody reads holds up nobody": unreadDocument,
		"an id is used once at a time":            uniqueIDs,
		"a bad specification is refused":          refusesBadSpec,
		"remove is idempotent":                    removeIsIdempotent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			subject := setup(t)
			part(t, subject)
			if left, err := subject.Runtime.List(t.Context()); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// run runs the probe to its end and returns what it printed.
func run(ctx context.Context, t *testing.T, s Subject, spec sandbox.Spec) (exit sandbox.Exit, stdout, stderr string) {
	t.Helper()
	var out, complaints bytes.Buffer
	spec.Stdout, spec.Stderr = &out, &complaints
	exit, err := s.Runtime.Run(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	return exit, out.String(), complaints.String()
}

func stdinArrives(t *testing.T, s Subject) {
	spec := s.Spec("stdin", "echo")
	spec.Stdin = bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // More than a pipe holds.
	exit, stdout, _ := run(t.Context(), t, s, spec)
	if exit.Code != 0 || stdout != string(spec.Stdin) {
		t.Errorf("exit %d, %d bytes came back of %d", exit.Code, len(stdout), len(spec.Stdin))
	}
}

func streamsStayApart(t *testing.T, s Subject) {
	_, stdout, stderr := run(t.Context(), t, s, s.Spec("streams", "streams"))
	if stdout != "to stdout" || stderr != "to stderr" {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
}

func exitStatus(t *testing.T, s Subject) {
	exit, _, _ := run(t.Context(), t, s, s.Spec("exit", "exit", "7"))
	if exit.Code != 7 || exit.TimedOut || exit.Stopped || exit.OutOfMemory || !exit.FinishedAt.After(exit.StartedAt) {
		t.Errorf("exit is %+v, want a plain 7", exit)
	}
}

func resultAndFailure(t *testing.T, s Subject) {
	exit, _, _ := run(t.Context(), t, s, s.Spec("answer", "answer"))
	if string(exit.Result) != `{"answer": 42}` || string(exit.Failure) != `{"error": "none"}` {
		t.Errorf("result %q, failure %q", exit.Result, exit.Failure)
	}
	if exit, _, _ = run(t.Context(), t, s, s.Spec("silent", "exit", "0")); len(exit.Result)+len(exit.Failure) > 0 {
		t.Errorf("result %q and failure %q of one that left none", exit.Result, exit.Failure)
	}
}

func floodArrives(t *testing.T, s Subject) {
	if exit, stdout, _ := run(t.Context(), t, s, s.Spec("flood", "flood", "50")); exit.Code != 0 || len(stdout) != 50<<20 {
		t.Errorf("exit %d, %d bytes", exit.Code, len(stdout))
	}
}

func timesOut(t *testing.T, s Subject) {
	spec := s.Spec("timeout", "wait")
	spec.Timeout, spec.Grace = 300*time.Millisecond, time.Minute
	exit, stdout, _ := run(t.Context(), t, s, spec)
	if !exit.TimedOut || exit.Stopped || exit.Code != 143 || stdout != "waiting" {
		t.Errorf("exit %+v, stdout %q", exit, stdout)
	}
}

// signalWriter tells when the probe has begun to work.
type signalWriter struct {
	once sync.Once
	seen chan struct{}
}

func (w *signalWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.seen) })
	return len(p), nil
}

func cancels(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	spec := s.Spec("cancel", "wait")
	spec.Grace = time.Minute
	writer := &signalWriter{seen: make(chan struct{})}
	spec.Stdout = writer
	go func() {
		<-writer.seen
		cancel()
	}()
	exit, err := s.Runtime.Run(ctx, spec)
	if err != nil || !exit.Stopped || exit.TimedOut || exit.Code != 143 {
		t.Errorf("exit %+v, %v", exit, err)
	}
}

func cancelsEarly(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	spec := s.Spec("early", "answer")
	spec.Started = func() { t.Error("the process was started") }
	if exit, _, _ := run(ctx, t, s, spec); !exit.Stopped || exit.Code != sandbox.StoppedCode || exit.Result != nil {
		t.Errorf("exit %+v", exit)
	}
}

func killsStubborn(t *testing.T, s Subject) {
	spec := s.Spec("stubborn", "stubborn")
	spec.Timeout = 300 * time.Millisecond
	if exit, _, _ := run(t.Context(), t, s, spec); !exit.TimedOut || exit.Code != 137 {
		t.Errorf("exit %+v, want one by SIGKILL after the timeout", exit)
	}
}

func unreadDocument(t *testing.T, s Subject) {
	spec := s.Spec("unread", "wait")
	spec.Stdin = bytes.Repeat([]byte("x"), 1<<20)
	spec.Timeout = 300 * time.Millisecond
	if exit, _, _ := run(t.Context(), t, s, spec); !exit.TimedOut {
		t.Errorf("exit %+v, want a timeout", exit)
	}
}

func uniqueIDs(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	spec := s.Spec("twice", "wait")
	writer := &signalWriter{seen: make(chan struct{})}
	spec.Stdout = writer
	first := make(chan error, 1)
	go func() {
		_, err := s.Runtime.Run(ctx, spec)
		first <- err
	}()
	<-writer.seen
	if _, err := s.Runtime.Run(t.Context(), s.Spec("twice", "exit", "0")); err == nil {
		t.Error("a second sandbox with the same id was started")
	}
	if ids, err := s.Runtime.List(t.Context()); err != nil || len(ids) != 1 || ids[0] != "twice" {
		t.Errorf("list is %v, %v", ids, err)
	}
	cancel()
	if err := <-first; err != nil {
		t.Errorf("the first was disturbed: %v", err)
	}
}

func refusesBadSpec(t *testing.T, s Subject) {
	for name, change := range map[string]func(*sandbox.Spec){
		"id":      func(spec *sandbox.Spec) { spec.ID = "../up" },
		"image":   func(spec *sandbox.Spec) { spec.ImageDigest = "latest" },
		"command": func(spec *sandbox.Spec) { spec.Args = nil },
		"memory":  func(spec *sandbox.Spec) { spec.Resources.MemoryBytes = 0 },
		"network": func(spec *sandbox.Spec) { spec.Network = "host" },
		"timeout": func(spec *sandbox.Spec) { spec.Timeout = 0 },
	} {
		spec := s.Spec("bad", "exit", "0")
		change(&spec)
		if _, err := s.Runtime.Run(t.Context(), spec); err == nil || strings.Contains(err.Error(), "panic") {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}

func removeIsIdempotent(t *testing.T, s Subject) {
	for range 2 {
		if err := s.Runtime.Remove(t.Context(), "never-was"); err != nil {
			t.Error(err)
		}
	}
}
