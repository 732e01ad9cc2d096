package sandboxtest

import (
	"bytes"
	"context"
	"io"
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
	// With is the runtime that sandboxes ask for; empty leaves it to the host.
	With attune.Runtime
	// ImageDigest is of an image with the probe, and Probe the command that starts it.
	ImageDigest string
	Probe       []string
}

// Spec runs the probe with arguments, under limits that are enough for every mode.
func (s Subject) Spec(id string, args ...string) sandbox.Spec {
	return sandbox.Spec{
		ID: id, ImageDigest: s.ImageDigest, Args: append(s.Probe[:len(s.Probe):len(s.Probe)], args...),
		Network:   attune.NetworkNone,
		Runtime:   s.With,
		Resources: attune.Resources{CPU: 1, MemoryBytes: 128 << 20, Pids: 64, TmpBytes: 16 << 20},
	}
}

// Input is an execution's, with time enough for every mode.
func (s Subject) Input(execution string) sandbox.Input {
	return sandbox.Input{Execution: execution, Timeout: time.Minute, Grace: 200 * time.Millisecond}
}

// Run makes a sandbox and runs it once.
func (s Subject) Run(ctx context.Context, spec sandbox.Spec, in sandbox.Input) (sandbox.Exit, error) {
	made, err := s.Runtime.Create(ctx, spec)
	if err != nil {
		return sandbox.Exit{}, err
	}
	exit, err := made.Run(ctx, in)
	if err == nil {
		s.Runtime.Forget(in.Execution)
	}
	return exit, err
}

// Suite holds for every Runtime. setup is called once for each part, which run in parallel.
func Suite(t *testing.T, setup func(t *testing.T) Subject) {
	t.Helper()
	for name, part := range map[string]func(*testing.T, Subject){
		"stdin arrives whole and ends":        stdinArrives,
		"streams stay apart":                  streamsStayApart,
		"exit status":                         exitStatus,
		"result and failure":                  resultAndFailure,
		"output files":                        outputFiles,
		"a flood arrives whole":               floodArrives,
		"timeout":                             timesOut,
		"cancel":                              cancels,
		"cancel before the document":          cancelsEarly,
		"what was printed before the run":     printsEarly,
		"a sandbox is used once":              usedOnce,
		"an execution has one sandbox":        oneSandboxEach,
		"an unused one is removed":            removesUnused,
		"one that will not end is killed":     killsStubborn,
		"an unread document holds up nothing": unreadDocument,
		"an id is used once at a time":        uniqueIDs,
		"a bad specification is refused":      refusesBadSpec,
		"reconcile leaves what is used":       reconciles,
		"an execution that has not started":   notStarted,
		"an execution whose sandbox is gone":  gone,
		"remove is idempotent":                removeIsIdempotent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			subject := setup(t)
			part(t, subject)
			subject.AwaitNone(t)
		})
	}
}

// AwaitNone waits until no sandbox is left: the rest of those that have ended goes without the caller.
func (s Subject) AwaitNone(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		left, err := s.Runtime.List(t.Context())
		if err == nil && len(left) == 0 {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("left behind: %v, %v", left, err)
		}
	}
}

// run runs the probe to its end and returns what it printed.
func run(
	ctx context.Context, t *testing.T, s Subject, spec sandbox.Spec, in sandbox.Input,
) (exit sandbox.Exit, stdout, stderr string) {
	t.Helper()
	var out, complaints bytes.Buffer
	in.Stdout, in.Stderr = &out, &complaints
	exit, err := s.Run(ctx, spec, in)
	if err != nil {
		t.Fatal(err)
	}
	return exit, out.String(), complaints.String()
}

func stdinArrives(t *testing.T, s Subject) {
	spec, in := s.Spec("stdin", "echo"), s.Input("stdin")
	in.Stdin = bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // More than a pipe holds.
	exit, stdout, _ := run(t.Context(), t, s, spec, in)
	if exit.Code != 0 || stdout != string(in.Stdin) {
		t.Errorf("exit %d, %d bytes came back of %d", exit.Code, len(stdout), len(in.Stdin))
	}
}

func streamsStayApart(t *testing.T, s Subject) {
	_, stdout, stderr := run(t.Context(), t, s, s.Spec("streams", "streams"), s.Input("streams"))
	if stdout != "to stdout" || stderr != "to stderr" {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
}

func exitStatus(t *testing.T, s Subject) {
	exit, _, _ := run(t.Context(), t, s, s.Spec("exit", "exit", "7"), s.Input("exit"))
	if exit.Code != 7 || exit.TimedOut || exit.Stopped || exit.OutOfMemory || exit.FinishedAt.Before(exit.StartedAt) {
		t.Errorf("exit is %+v, want a plain 7", exit)
	}
}

func resultAndFailure(t *testing.T, s Subject) {
	exit, _, _ := run(t.Context(), t, s, s.Spec("answer", "answer"), s.Input("answer"))
	if string(exit.Result) != `{"answer": 42}` || string(exit.Failure) != `{"error": "none"}` {
		t.Errorf("result %q, failure %q", exit.Result, exit.Failure)
	}
	exit, _, _ = run(t.Context(), t, s, s.Spec("silent", "exit", "0"), s.Input("silent"))
	if len(exit.Result)+len(exit.Failure) > 0 {
		t.Errorf("result %q and failure %q of one that left none", exit.Result, exit.Failure)
	}
}

func outputFiles(t *testing.T, s Subject) {
	in := s.Input("outputs")
	made, err := s.Runtime.Create(t.Context(), s.Spec("outputs", "leave"))
	if err != nil {
		t.Fatal(err)
	}
	exit, err := made.Run(t.Context(), in)
	if err != nil || len(exit.Outputs) != 2 {
		t.Fatalf("%+v, %v", exit, err)
	}
	for i, want := range []struct{ name, content string }{{"deep/empty", ""}, {"note.txt", "hello"}} {
		content, err := io.ReadAll(exit.Outputs[i].Content)
		if err != nil || exit.Outputs[i].Name != want.name || string(content) != want.content {
			t.Errorf("%s has %q, %v; want %+v", exit.Outputs[i].Name, content, err, want)
		}
	}
	if len(exit.NotKept) != 1 || exit.NotKept[0].Name != `two\nlines` {
		t.Errorf("not kept: %+v", exit.NotKept)
	}
	s.Runtime.Forget("outputs")
	if exit, _, _ := run(t.Context(), t, s, s.Spec("none", "exit", "0"), s.Input("none")); len(exit.Outputs) > 0 {
		t.Errorf("%v of one that left none", exit.Outputs)
	}
}

func floodArrives(t *testing.T, s Subject) {
	exit, stdout, _ := run(t.Context(), t, s, s.Spec("flood", "flood", "50"), s.Input("flood"))
	if exit.Code != 0 || len(stdout) != 50<<20 {
		t.Errorf("exit %d, %d bytes", exit.Code, len(stdout))
	}
}

func timesOut(t *testing.T, s Subject) {
	spec, in := s.Spec("timeout", "wait"), s.Input("timeout")
	in.Timeout, in.Grace = 300*time.Millisecond, time.Minute
	exit, stdout, _ := run(t.Context(), t, s, spec, in)
	if !exit.TimedOut || exit.Stopped || exit.Code != 143 || stdout != "waiting" {
		t.Errorf("exit %+v, stdout %q", exit, stdout)
	}
}

// signalWriter closes seen when the probe has begun to work.
type signalWriter struct {
	once sync.Once
	seen chan struct{}
}

func (w *signalWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.seen) })
	return len(p), nil
}

// begin runs the probe in the background, and returns when it has begun to work. The channel delivers the error of Run.
func begin(ctx context.Context, t *testing.T, s Subject, spec sandbox.Spec, in sandbox.Input) <-chan error {
	t.Helper()
	writer := &signalWriter{seen: make(chan struct{})}
	in.Stdout = writer
	ended := make(chan error, 1)
	go func() {
		_, err := s.Run(ctx, spec, in)
		ended <- err
	}()
	select {
	case <-writer.seen:
	case err := <-ended:
		t.Fatalf("it ended before it had begun to work: %v", err)
	}
	return ended
}

func cancels(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	spec, in := s.Spec("cancel", "wait"), s.Input("cancel")
	in.Grace = time.Minute
	writer := &signalWriter{seen: make(chan struct{})}
	in.Stdout = writer
	go func() {
		select {
		case <-writer.seen:
			cancel()
		case <-ctx.Done():
		}
	}()
	exit, err := s.Run(ctx, spec, in)
	if err != nil || !exit.Stopped || exit.TimedOut || exit.Code != 143 {
		t.Errorf("exit %+v, %v", exit, err)
	}
}

func cancelsEarly(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	spec, in := s.Spec("unwanted", "answer"), s.Input("unwanted")
	in.Started = func() { t.Error("the document was delivered") }
	if exit, _, _ := run(ctx, t, s, spec, in); !exit.Stopped || exit.Code != sandbox.StoppedCode || exit.Result != nil {
		t.Errorf("exit %+v", exit)
	}
}

func killsStubborn(t *testing.T, s Subject) {
	spec, in := s.Spec("stubborn", "stubborn"), s.Input("stubborn")
	in.Timeout = 300 * time.Millisecond
	if exit, _, _ := run(t.Context(), t, s, spec, in); !exit.TimedOut || exit.Code != 137 {
		t.Errorf("exit %+v, want one by SIGKILL after the timeout", exit)
	}
}

func unreadDocument(t *testing.T, s Subject) {
	spec, in := s.Spec("unread", "wait"), s.Input("unread")
	in.Stdin = bytes.Repeat([]byte("x"), 1<<20)
	in.Timeout = 300 * time.Millisecond
	if exit, _, _ := run(t.Context(), t, s, spec, in); !exit.TimedOut {
		t.Errorf("exit %+v, want a timeout", exit)
	}
}

func uniqueIDs(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	spec, in := s.Spec("twice", "wait"), s.Input("twice")
	first := begin(ctx, t, s, spec, in)
	if _, err := s.Runtime.Create(t.Context(), s.Spec("twice", "exit", "0")); err == nil {
		t.Error("a second sandbox with the same id was made")
	}
	if ids, err := s.Runtime.List(t.Context()); err != nil || len(ids) != 1 || ids[0] != "twice" {
		t.Errorf("list is %v, %v", ids, err)
	}
	cancel()
	if err := <-first; err != nil {
		t.Errorf("the first was disturbed: %v", err)
	}
}

func printsEarly(t *testing.T, s Subject) {
	made, err := s.Runtime.Create(t.Context(), s.Spec("early", "early"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	in := s.Input("early")
	in.Stdin, in.Stdout = []byte("document"), &out
	exit, err := made.Run(t.Context(), in)
	s.Runtime.Forget("early")
	if err != nil || exit.Code != 0 || out.String() != "early document" {
		t.Errorf("exit %+v, %v, printed %q", exit, err, out.String())
	}
}

func usedOnce(t *testing.T, s Subject) {
	made, err := s.Runtime.Create(t.Context(), s.Spec("once", "echo"))
	if err != nil {
		t.Fatal(err)
	}
	refused := s.Input("once")
	refused.Timeout = 0
	if _, err := made.Run(t.Context(), refused); err == nil {
		t.Error("it ran without a timeout")
	}
	if exit, err := made.Run(t.Context(), s.Input("once")); err != nil || exit.Code != 0 {
		t.Errorf("after the refusal: %+v, %v", exit, err)
	}
	if _, err := made.Run(t.Context(), s.Input("again")); err == nil {
		t.Error("it was used twice")
	}
	if _, err := s.Run(t.Context(), s.Spec("another", "echo"), s.Input("once")); err == nil {
		t.Error("its execution was forgotten by itself")
	}
	if ids, err := s.Runtime.List(t.Context()); err != nil || len(ids) != 1 {
		t.Errorf("list is %v, %v", ids, err)
	}
	s.Runtime.Forget("once")
}

func oneSandboxEach(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in := s.Input("same")
	first := begin(ctx, t, s, s.Spec("one", "wait"), in)
	if _, err := s.Run(t.Context(), s.Spec("two", "exit", "0"), s.Input("same")); err == nil {
		t.Error("an execution had two sandboxes")
	}
	cancel()
	if err := <-first; err != nil {
		t.Errorf("the first was disturbed: %v", err)
	}
}

func removesUnused(t *testing.T, s Subject) {
	made, err := s.Runtime.Create(t.Context(), s.Spec("unused", "flood", "1"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := made.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if ids, err := s.Runtime.List(t.Context()); err != nil || len(ids) > 0 {
		t.Errorf("left: %v, %v", ids, err)
	}
	if _, err := made.Run(t.Context(), s.Input("unused")); err == nil {
		t.Error("it was used after its removal")
	}
}

func refusesBadSpec(t *testing.T, s Subject) {
	for name, change := range map[string]func(*sandbox.Spec){
		"id":      func(spec *sandbox.Spec) { spec.ID = "../up" },
		"image":   func(spec *sandbox.Spec) { spec.ImageDigest = "latest" },
		"command": func(spec *sandbox.Spec) { spec.Args = nil },
		"memory":  func(spec *sandbox.Spec) { spec.Resources.MemoryBytes = 0 },
		"network": func(spec *sandbox.Spec) { spec.Network = "host" },
		"runtime": func(spec *sandbox.Spec) { spec.Runtime = "/bin/sh" },
		"files":   func(spec *sandbox.Spec) { spec.Resources.OpenFiles = -1 },
	} {
		spec := s.Spec("bad", "exit", "0")
		change(&spec)
		if _, err := s.Runtime.Create(t.Context(), spec); err == nil || strings.Contains(err.Error(), "panic") {
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

func reconciles(t *testing.T, s Subject) {
	made, err := s.Runtime.Create(t.Context(), s.Spec("ready", "echo"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Runtime.Reconcile(t.Context()); err != nil {
		t.Error(err)
	}
	if exit, err := made.Run(t.Context(), s.Input("ready")); err != nil || exit.Code != 0 {
		t.Errorf("%+v, %v", exit, err)
	}
	s.Runtime.Forget("ready")
}
