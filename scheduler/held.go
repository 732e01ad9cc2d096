package scheduler

import (
	"context"
	"maps"
	"slices"
)

// hold takes a claim in hand and runs it. The attempt outlives the worker's wish to end by the drain, which waits for
// it.
func (w *Worker) hold(ctx context.Context, c *Claim, run func(context.Context, *Claim)) {
	ctx, stop := context.WithCancelCause(ctx)
	w.mu.Lock()
	w.held[c.Number] = stop
	w.mu.Unlock()
	w.attempts.Go(func() {
		defer stop(nil)
		run(ctx, c)
	})
}

// drop lets go of a claim: its slot is free, or nothing of it has begun.
func (w *Worker) drop(c *Claim) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, c.Number)
}

// stop ends the context of an attempt, and reports whether the worker holds it.
func (w *Worker) stop(number int64, cause error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	stop, ok := w.held[number]
	if ok {
		stop(cause)
	}
	return ok
}

func (w *Worker) stopAll(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, stop := range w.held {
		stop(cause)
	}
}

// claims lists the numbers of the claims in hand.
func (w *Worker) claims() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.held))
}

// free is how many more the worker could hold.
func (w *Worker) free() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Capacity - len(w.held)
}
