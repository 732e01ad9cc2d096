package containerd

import (
	"context"
)

// teardown collects what undoes each step of making a sandbox.
type teardown struct{ steps []func(context.Context) error }

func (t *teardown) add(step func(context.Context) error) { t.steps = append(t.steps, step) }

// run undoes everything, last step first, whatever became of ctx. It ends at a step that fails and keeps it for another
// try: what the earlier steps made still serves, and shows List that there is something left.
func (t *teardown) run(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	for len(t.steps) > 0 {
		last := len(t.steps) - 1
		if err := bounded(ctx, t.steps[last]); err != nil {
			return err
		}
		t.steps = t.steps[:last]
	}
	return nil
}

// bounded gives one step its time.
func bounded(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return step(ctx)
}

// maxRetiring bounds how many sandboxes are taken down beside those that run; the next one is waited for.
const maxRetiring = 32

// retire removes the rest of a sandbox in which nothing can run any more, without the caller; its folder stays until it is
// forgotten. Close waits for it. What cannot be removed is left to Reconcile.
func (s *container) retire(life context.Context) {
	remove := func() {
		if err := s.removal.run(life); err != nil {
			s.log.Error("sandbox left something behind", "sandbox", s.spec.ID, "error", err)
			s.live.Delete(s.spec.ID)
			return
		}
		s.leave(life)
	}
	select {
	case s.retiring <- struct{}{}:
		s.retired.Go(func() {
			defer func() { <-s.retiring }()
			remove()
		})
	default:
		remove()
	}
}

// leave is called by who has removed the rest and by who needs the exit no more; the second removes the folder.
func (s *container) leave(ctx context.Context) {
	if s.left.Add(1) < 2 {
		return
	}
	if err := s.discard(ctx); err != nil {
		s.log.Error("sandbox left its folder behind", "sandbox", s.spec.ID, "error", err)
	}
}

// discard removes everything that is left; what cannot be is Reconcile's.
func (s *container) discard(ctx context.Context) error {
	defer s.live.Delete(s.spec.ID)
	return s.undo.run(ctx)
}
