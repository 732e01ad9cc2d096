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
	// made has the sandboxes by their ids, left those of an earlier process among them.
	made, left map[string]bool
	// records maps executions to the sandboxes that they were given, until they are forgotten.
	records map[string]string
	// unproven: the host may have lost records.
	unproven bool
}

var _ sandbox.Runtime = (*Fake)(nil)

// NewFake returns a Runtime whose sandboxes all run program.
func NewFake(program Program) *Fake {
	return &Fake{
		program: program, made: make(map[string]bool), left: make(map[string]bool), records: make(map[string]string),
	}
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
	if f.made[id] {
		return fmt.Errorf("sandbox %s exists", id)
	}
	f.made[id] = true
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

// Begin makes an execution look as if an earlier process had begun it, in a sandbox that is gone.
func (f *Fake) Begin(execution string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records[execution] = ""
}

// Reboot makes the host look as if it had been started again: from then until Reconcile, a missing record proves
// nothing.
func (f *Fake) Reboot() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unproven = true
}

// Attach implements sandbox.Runtime: no sandbox of a fake outlives its process.
func (f *Fake) Attach(_ context.Context, execution string) (sandbox.Sandbox, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, there := f.records[execution]; there {
		return nil, "", sandbox.ErrGone
	}
	if f.unproven {
		f.records[execution] = ""
		return nil, "", sandbox.ErrGone
	}
	return nil, "", sandbox.ErrNotStarted
}

// Forget implements sandbox.Runtime.
func (f *Fake) Forget(execution string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.made, f.records[execution])
	delete(f.records, execution)
}

// Reconcile implements sandbox.Runtime.
func (f *Fake) Reconcile(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.left {
		delete(f.made, id)
	}
	clear(f.left)
	f.unproven = false
	return nil
}

// assign gives a sandbox to an execution that has none.
func (f *Fake) assign(id, execution string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if other, there := f.records[execution]; there {
		return fmt.Errorf("execution %s has sandbox %s", execution, other)
	}
	f.records[execution] = id
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
