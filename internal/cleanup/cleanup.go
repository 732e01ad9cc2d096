// Package cleanup undoes the steps of a piece of work in reverse order.
package cleanup

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Stack holds what undoes the steps done so far. The zero value is empty and ready. It is not safe for concurrent use.
type Stack struct{ undo []func(context.Context) error }

// Add adds what undoes a step.
func (s *Stack) Add(undo func(context.Context) error) { s.undo = append(s.undo, undo) }

// AddClose is Add for what needs no context.
func (s *Stack) AddClose(undo func() error) {
	s.Add(func(context.Context) error { return undo() })
}

// Run undoes all steps, the last one first, even if ctx has ended, and joins the errors. Each step may take limit. What
// fails does not stop the others, and is kept for another Run.
func (s *Stack) Run(ctx context.Context, limit time.Duration) error {
	var errs []error
	var failed []func(context.Context) error
	for _, undo := range slices.Backward(s.undo) {
		if err := bounded(ctx, limit, undo); err != nil {
			errs, failed = append(errs, err), append(failed, undo)
		}
	}
	slices.Reverse(failed)
	s.undo = failed
	return errors.Join(errs...)
}

func bounded(ctx context.Context, limit time.Duration, undo func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	return undo(ctx)
}
