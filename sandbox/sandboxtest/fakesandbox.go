package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"attune/sandbox"
	"attune/sandbox/sandboxtest/probe"
)

// fakeSandbox is a program that runs in a goroutine.
type fakeSandbox struct {
	fake *Fake
	id   string
	used atomic.Bool

	stdin                  *io.PipeWriter
	stdout, stderr         *io.PipeReader
	result, failure        file
	output                 folder
	terminate, closeStdout func()
	status                 chan int
}

// start runs the program. What it writes is read from Run on.
func (f *Fake) start(spec sandbox.Spec) *fakeSandbox {
	terminated, terminate := context.WithCancel(context.Background())
	s := &fakeSandbox{fake: f, id: spec.ID, terminate: terminate, status: make(chan int, 1)}
	stdin, toStdin := io.Pipe()
	fromStdout, stdout := io.Pipe()
	fromStderr, stderr := io.Pipe()
	s.stdin, s.stdout, s.stderr = toStdin, fromStdout, fromStderr
	s.closeStdout = func() {
		_, _, _ = stdin.Close(), stdout.Close(), stderr.Close()
	}
	process := probe.Process{
		Args: spec.Args, Stdin: stdin, Stdout: stdout, Stderr: stderr,
		Result: &s.result, Failure: &s.failure, Leave: s.output.leave,
	}
	go func() {
		code := f.program(terminated, process)
		s.closeStdout()
		s.status <- code
	}()
	return s
}

// Run implements sandbox.Sandbox.
func (s *fakeSandbox) Run(ctx context.Context, in sandbox.Input) (sandbox.Exit, error) {
	if err := in.Validate(); err != nil {
		return sandbox.Exit{}, err
	}
	if s.used.Swap(true) {
		return sandbox.Exit{}, fmt.Errorf("sandbox %s has been used", s.id)
	}
	if err := s.fake.assign(s.id, in.Execution); err != nil {
		s.end()
		return sandbox.Exit{}, errors.Join(err, s.fake.Remove(ctx, s.id))
	}
	defer s.end()
	exit := sandbox.Exit{StartedAt: time.Now()}
	if ctx.Err() != nil {
		exit.Stopped, exit.Code, exit.FinishedAt = true, sandbox.StoppedCode, exit.StartedAt
		return exit, nil
	}
	if in.Started != nil {
		in.Started()
	}
	var streams sync.WaitGroup
	streams.Go(func() {
		_, _ = s.stdin.Write(in.Stdin)
		_ = s.stdin.Close()
	})
	streams.Go(func() { drain(in.Stdout, s.stdout) })
	streams.Go(func() { drain(in.Stderr, s.stderr) })
	exit.Code = s.watch(ctx, in, &exit)
	s.closeStdout()
	streams.Wait()
	exit.Result, exit.Failure = s.result.close(), s.failure.close()
	outputs := s.output.close()
	exit.Outputs, exit.NotKept = outputs.Kept, outputs.NotKept
	exit.FinishedAt = time.Now()
	return exit, nil
}

// fakeMemory is what each takes.
const fakeMemory = 10 << 20

// Waiting implements sandbox.Sandbox.
func (s *fakeSandbox) Waiting() (sandbox.Waiting, error) {
	if len(s.status) > 0 {
		return sandbox.Waiting{}, fmt.Errorf("sandbox %s has ended", s.id)
	}
	return sandbox.Waiting{MemoryBytes: fakeMemory}, nil
}

// Remove implements sandbox.Sandbox.
func (s *fakeSandbox) Remove(ctx context.Context) error {
	if s.used.Swap(true) {
		return nil
	}
	s.end()
	return s.fake.Remove(ctx, s.id)
}

func (s *fakeSandbox) end() {
	s.terminate()
	s.closeStdout()
}

// killed is 128 + SIGKILL.
const killed = 137

func (s *fakeSandbox) watch(ctx context.Context, in sandbox.Input, exit *sandbox.Exit) int {
	timeout := time.NewTimer(in.Timeout)
	defer timeout.Stop()
	select {
	case code := <-s.status:
		return code
	case <-ctx.Done():
		exit.Stopped = true
	case <-timeout.C:
		exit.TimedOut = true
	}
	s.terminate()
	grace := time.NewTimer(in.Grace)
	defer grace.Stop()
	select {
	case code := <-s.status:
		return code
	case <-grace.C:
		return killed
	}
}

func drain(to io.Writer, from io.Reader) {
	if to != nil {
		_, _ = io.Copy(to, from)
	}
	_, _ = io.Copy(io.Discard, from)
}

// file takes what a program writes until it is closed: one that was killed and left behind must not write any more.
type file struct {
	mu      sync.Mutex
	content bytes.Buffer
	closed  bool
}

func (f *file) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, io.ErrClosedPipe
	}
	return f.content.Write(p)
}

func (f *file) close() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return f.content.Bytes()
}

// folder takes the files that a program leaves until it is closed.
type folder struct {
	mu     sync.Mutex
	files  map[string]string
	closed bool
}

func (f *folder) leave(name, content string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return io.ErrClosedPipe
	}
	if f.files == nil {
		f.files = make(map[string]string)
	}
	f.files[name] = content
	return nil
}

func (f *folder) close() (outputs sandbox.Outputs) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		outputs.Keep(name, int64(len(f.files[name])), strings.NewReader(f.files[name]))
	}
	return outputs
}
