package scheduler

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// SetPolicy puts the operator's policy of a scope in force, for every admission and submission that commits later.
// CodeNotFound: the pack or the action is not installed. CodeInvalid: a key names what is not a parameter.
func (q *Queue) SetPolicy(
	ctx context.Context, scope attune.Scope, p attune.Policy,
) (set attune.ScopedPolicy, err error) {
	err = q.changePolicy(ctx, scope, func(tx pgx.Tx) error {
		if err := checkKey(ctx, tx, scope, p); err != nil {
			return err
		}
		return upsertPolicy(ctx, tx, scopeColumn(scope), attune.OriginOperator, p)
	}, &set)
	kind, ref := "pack", scope.Pack
	if scope.Action != "" {
		kind, ref = "action", scope.Action
	}
	return set, storage.Translate("set policy", err, attune.Errorf(attune.CodeNotFound, "there is no %s %q", kind, ref))
}

// DeletePolicy takes the operator's policy of a scope back; what the pack says is in force again.
func (q *Queue) DeletePolicy(ctx context.Context, scope attune.Scope) error {
	column := scopeColumn(scope)
	err := q.changePolicy(ctx, scope, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `delete from policies where scope = $1 and origin = 'operator'`, column)
		if err == nil && tag.RowsAffected() == 0 {
			return attune.Errorf(attune.CodeNotFound, "no policy was set for %s over the API; "+
				"one of its pack's files is changed with the pack", storage.ScopeName(column))
		}
		return err
	}, nil)
	return storage.Translate("delete policy", err)
}

// changePolicy does what changes a policy and puts the result in force; set, unless nil, gets it.
func (q *Queue) changePolicy(
	ctx context.Context, scope attune.Scope, do func(pgx.Tx) error, set *attune.ScopedPolicy,
) error {
	err := q.transact(ctx, func(tx pgx.Tx) error {
		if err := lockChanges(ctx, tx); err != nil {
			return err
		}
		if err := do(tx); err != nil {
			return err
		}
		column := scopeColumn(scope)
		if err := enforce(ctx, tx, column); err != nil {
			return err
		}
		if set == nil {
			return nil
		}
		var err error
		*set, err = storage.GetPolicy(ctx, tx, column)
		return err
	})
	if err == nil {
		q.signalAll() // a gate may be wider now
	}
	return err
}

// scopeColumn is how the tables name a scope.
func scopeColumn(s attune.Scope) string {
	if s.Action != "" {
		return s.Action
	}
	return s.Pack
}

// checkKey makes sure that the scope is there and that a key names its parameters. pgx.ErrNoRows: the scope is not
// there.
func checkKey(ctx context.Context, tx pgx.Tx, scope attune.Scope, p attune.Policy) error {
	switch {
	case scope.Action != "":
		var action attune.Action
		if err := tx.QueryRow(ctx, `select spec from actions where ref = $1`, scope.Action).Scan(&action); err != nil {
			return err
		}
		return p.CheckKey(action.Parameters)
	case scope.Pack != "":
		return tx.QueryRow(ctx, `select from packs where ref = $1`, scope.Pack).Scan()
	}
	return nil
}

func upsertPolicy(ctx context.Context, tx pgx.Tx, scope string, origin attune.PolicyOrigin, p attune.Policy) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `insert into policies (scope, origin, policy) values ($1, $2, $3)
		on conflict (scope, origin) do update set policy = $3, updated_at = now()`, scope, origin, text)
	return err
}
