// Package sandboxtest has a Runtime for tests that need no containers, and the suite that every Runtime passes.
package sandboxtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"attune/sandbox"
	"attune/sandbox/sandboxtest/probe"
)

// Program stands for the code in a sandbox; its result is the exit status. terminated ends when the process is asked to
// end; a program that goes on is left behind when it is killed.
type Program func(terminated context.Context, p probe.Process) int

// Fake runs every sandbox as a function in the test's own process.
type Fake struct {
	program Program

	mu      sync.Mutex
	running map[string]bool
}

var _ sandbox.Runtime = (*Fake)(nil)

// NewFake returns a Runtime whose sandboxes all run program.
func NewFake(program Program) *Fake {
	return &Fake{program: program, running: make(map[string]bool)}
}

// Run implements sandbox.Runtime.
func (f *Fake) Run(ctx context.Context, spec sandbox.Spec) (sandbox.Exit, error) {
	if err := spec.Validate(); err != nil {
		return sandbox.Exit{}, err
	}
	if err := f.register(spec.ID); err != nil {
		return sandbox.Exit{}, err
	}
	defer func() { _ = f.Remove(ctx, spec.ID) }()
	exit := sandbox.Exit{StartedAt: time.Now()}
	if ctx.Err() != nil {
		exit.Stopped, exit.Code, exit.FinishedAt = true, sandbox.StoppedCode, exit.StartedAt
		return exit, nil
	}
	if spec.Started != nil {
		spec.Started()
	}
	life := context.WithoutCancel(ctx)
	terminated, terminate := context.WithCancel(life)
	defer terminate()
	var result, failure bytes.Buffer
	alive := &gate{}
	process := probe.Process{
		Args: spec.Args, Stdin: bytes.NewReader(spec.Stdin), Stdout: alive.guard(spec.Stdout), Stderr: alive.guard(spec.Stderr),
		Result: alive.guard(&result), Failure: alive.guard(&failure),
	}
	status := make(chan int, 1)
	go func() { status <- f.program(terminated, process) }()
	exit.Code = watch(ctx, spec, status, terminate, &exit)
	alive.shut()
	exit.Result, exit.Failure = result.Bytes(), failure.Bytes()
	exit.FinishedAt = time.Now()
	return exit, nil
}

// killed is 128 + SIGKILL.
const killed = 137

func watch(ctx context.Context, spec sandbox.Spec, status <-chan int, terminate func(), exit *sandbox.Exit) int {
	timeout := time.NewTimer(spec.Timeout)
	defer timeout.Stop()
	select {
	case code := <-status:
		return code
	case <-ctx.Done():
		exit.Stopped = true
	case <-timeout.C:
		exit.TimedOut = true
	}
	terminate()
	grace := time.NewTimer(spec.Grace)
	defer grace.Stop()
	select {
	case code := <-status:
		return code
	case <-grace.C:
		return killed
	}
}

// gate keeps a program that was killed and left behind from writing.
type gate struct {
	mu     sync.Mutex
	closed bool
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

func (g *gate) guard(w io.Writer) io.Writer {
	if w == nil {
		w = io.Discard
	}
	return guarded{g, w}
}

type guarded struct {
	gate *gate
	to   io.Writer
}

func (w guarded) Write(p []byte) (int, error) {
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	if w.gate.closed {
		return 0, io.ErrClosedPipe
	}
	return w.to.Write(p)
}

func (f *Fake) register(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[id] {
		return fmt.Errorf("sandbox %s exists", id)
	}
	f.running[id] = true
	return nil
}

// Leave makes a sandbox look as if an earlier process had left it behind.
func (f *Fake) Leave(id string) error { return f.register(id) }

// List implements sandbox.Runtime.
func (f *Fake) List(context.Context) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.running)), nil
}

// Remove implements sandbox.Runtime.
func (f *Fake) Remove(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, id)
	return nil
}
