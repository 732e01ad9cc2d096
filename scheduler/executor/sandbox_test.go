package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"attune"
	"attune/sandbox"
	"attune/sandbox/sandboxtest"
	"attune/scheduler"
)

// broken is a Runtime that fails in one way or another.
type broken struct {
	*sandboxtest.Fake
	// create is why no sandbox can be made.
	create error
	// removals is how often a sandbox that was lost cannot be removed; removed is called at each try.
	removals int
	removed  func()

	mu    sync.Mutex
	tries int
}

func (b *broken) Create(_ context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if b.create != nil {
		return nil, b.create
	}
	return vanishing{}, b.Leave(spec.ID)
}

// vanishing is lost from sight after its start.
type vanishing struct{ sandbox.Sandbox }

func (vanishing) Run(_ context.Context, in sandbox.Input) (sandbox.Exit, error) {
	in.Started()
	return sandbox.Exit{}, errors.New("lost from sight")
}

func (b *broken) Remove(ctx context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.removed != nil {
		b.removed()
	}
	if b.tries++; b.tries <= b.removals {
		return errors.New("still busy")
	}
	return b.Fake.Remove(ctx, id)
}

func setupBroken(t *testing.T, b *broken) *host {
	t.Helper()
	return setup(t, exits(0), func(c *Config) {
		b.Fake = c.Runtime.(*sandboxtest.Fake)
		c.Runtime = b
	})
}

func TestSandboxThatCannotBeMade(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err    error
		reason attune.Reason
	}{
		"failed":      {errors.New("no room"), attune.ReasonSandboxFailed},
		"unsupported": {fmt.Errorf("gVisor: %w", sandbox.ErrUnsupported), attune.ReasonUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setupBroken(t, &broken{create: test.err})
			c := h.claim(t, attune.Action{})
			wantOutcome(t, h.run(t, c), attune.StatusFailed, test.reason)
			h.wantKeys(t, c, "manifest.json", "stderr.log", "stdout.log")
		})
	}
}

func TestOutcomeWaitsUntilTheSandboxIsGone(t *testing.T) {
	t.Parallel()
	b := &broken{removals: 2}
	h := setupBroken(t, b)
	wantOutcome(t, h.run(t, h.claim(t, attune.Action{})), attune.StatusAbandoned, attune.ReasonSandboxLost)
	if b.tries != 3 {
		t.Errorf("it ended after %d tries to remove the sandbox, want 3", b.tries)
	}
	if left, err := h.runtime.List(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("sandboxes are left: %v, %v", left, err)
	}
}

// TestSandboxThatStaysKeepsItsSlot when the worker stops, but not when the execution is cancelled: that must not keep
// the slot for good.
func TestSandboxThatStaysKeepsItsSlot(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		why  error
		kept bool
	}{
		"stopping":  {scheduler.ErrStopping, true},
		"cancelled": {scheduler.ErrCancelled, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, end := context.WithCancelCause(t.Context())
			h := setupBroken(t, &broken{removals: 2, removed: func() { end(test.why) }})
			o, err := h.prepare(t, h.claim(t, attune.Action{})).Run(ctx)
			if test.kept != (err != nil) {
				t.Errorf("got %+v, %v", o, err)
			}
		})
	}
}
