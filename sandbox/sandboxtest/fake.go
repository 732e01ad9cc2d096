// Package sandboxtest has a Runtime for tests that need no containers, and the suite that every Runtime passes.
package sandboxtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"attune/sandbox"
	"attune/sandbox/sandboxtest/probe"
)

// Program stands for the code in a sandbox; its result is the exit status. terminated ends when the process is asked to
// end; a program that goes on is left behind when it is killed.
type Program func(terminated context.Context, p probe.Process) int

// Fake runs every sandbox as a function in the test's own process.
type Fake struct {
	program Program

	mu sync.Mutex
	// made maps the ids of the sandboxes to the executions that they were given to, and left has those of nobody.
	made map[string]string
	left map[string]bool
}

var _ sandbox.Runtime = (*Fake)(nil)

// NewFake returns a Runtime whose sandboxes all run program.
func NewFake(program Program) *Fake {
	return &Fake{program: program, made: make(map[string]string), left: make(map[string]bool)}
}

// Create implements sandbox.Runtime.
func (f *Fake) Create(_ context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := f.register(spec.ID); err != nil {
		return nil, err
	}
	return f.start(spec), nil
}

func (f *Fake) register(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, there := f.made[id]; there {
		return fmt.Errorf("sandbox %s exists", id)
	}
	f.made[id] = ""
	return nil
}

// Leave makes a sandbox look as if an earlier process had left it behind.
func (f *Fake) Leave(id string) error {
	if err := f.register(id); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left[id] = true
	return nil
}

// Attach implements sandbox.Runtime: nothing of a fake outlives its process.
func (f *Fake) Attach(context.Context, string) (sandbox.Sandbox, string, error) {
	return nil, "", sandbox.ErrGone
}

// Forget implements sandbox.Runtime.
func (f *Fake) Forget(execution string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.made, func(_, its string) bool { return its == execution })
}

// Reconcile implements sandbox.Runtime.
func (f *Fake) Reconcile(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.left {
		delete(f.made, id)
	}
	clear(f.left)
	return nil
}

// assign gives a sandbox to an execution that has none.
func (f *Fake) assign(id, execution string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for other, its := range f.made {
		if its == execution {
			return fmt.Errorf("execution %s has sandbox %s", execution, other)
		}
	}
	f.made[id] = execution
	return nil
}

// List implements sandbox.Runtime.
func (f *Fake) List(context.Context) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.made)), nil
}

// Remove implements sandbox.Runtime.
func (f *Fake) Remove(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.made, id)
	return nil
}
