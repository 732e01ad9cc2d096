package scheduler

import (
	"context"

	"attune"
	"attune/sandbox"
)

// run is what a claim is run with; there is a sandbox where an earlier life of the worker began it.
type run struct {
	action  attune.Action
	record  *record
	sandbox sandbox.Sandbox
	id      string
}

// Attach implements Executor.
func (s *Sandboxes) Attach(ctx context.Context, begun []Claim) (taken []Claim, err error) {
	for _, c := range begun {
		action, err := s.DB.Installations.Action(ctx, c.InstallationID, c.Action)
		if attune.CodeOf(err) == attune.CodeNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, id, err := s.Runtime.Attach(ctx, attemptName(c))
		if err != nil {
			s.Log.Warn("execution cannot go on", "execution", c.ID, "error", err)
			continue
		}
		// From here on, the spool is not one of a finished log.
		record, err := s.openRecord(ctx, c, action, s.Logs.Resume)
		if err != nil {
			return nil, err
		}
		s.attached.Store(c.Number, run{action, record, found, id})
		taken = append(taken, c)
	}
	return taken, nil
}
