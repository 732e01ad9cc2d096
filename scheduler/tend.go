package scheduler

import (
	"context"
	"time"
)

const (
	// spoolInterval is how often logs are looked for that object storage could not take when their executions ended.
	spoolInterval = 15 * time.Second
	// reconcileInterval is how often sandboxes are looked for that nobody owns.
	reconcileInterval = 5 * time.Minute
)

// Tend looks after what is left behind, once Clear has been and until ctx ends. It uploads finished logs: object storage may
// still be away, or slow; the spool keeps them, and nothing else waits for it. It removes sandboxes that nobody owns.
func (s *Sandboxes) Tend(ctx context.Context) {
	select {
	case <-s.whenCleared():
	case <-ctx.Done():
		return
	}
	spool, reconcile := time.NewTicker(spoolInterval), time.NewTicker(reconcileInterval)
	defer spool.Stop()
	defer reconcile.Stop()
	s.storeSpool(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-spool.C:
			s.storeSpool(ctx)
		case <-reconcile.C:
			if err := s.Runtime.Reconcile(ctx); err != nil && ctx.Err() == nil {
				s.Log.Error("sandboxes that nobody owns were not removed", "error", err)
			}
		}
	}
}

func (s *Sandboxes) storeSpool(ctx context.Context) {
	if err := s.Logs.Recover(ctx); err != nil && ctx.Err() == nil {
		s.Log.Error("logs in the spool were not stored", "error", err)
	}
}

// whenCleared is closed by Clear: before, a log in the spool may be one that goes on.
func (s *Sandboxes) whenCleared() chan struct{} {
	s.once.Do(func() { s.cleared = make(chan struct{}) })
	return s.cleared
}
