package scheduler

import (
	"context"

	"attune"
)

// SetPolicy puts the operator's policy of a scope in force, for every admission and submission that commits later; see
// storage.Policies.Set.
func (q *Queue) SetPolicy(ctx context.Context, scope attune.Scope, p attune.Policy) (attune.ScopedPolicy, error) {
	set, err := q.db.Policies.Set(ctx, scope, p)
	if err == nil {
		q.signalAll() // a gate may be wider now
	}
	return set, err
}

// DeletePolicy takes the operator's policy back; what the pack says is in force again.
func (q *Queue) DeletePolicy(ctx context.Context, scope attune.Scope) error {
	err := q.db.Policies.Delete(ctx, scope)
	if err == nil {
		q.signalAll()
	}
	return err
}
