package scheduler

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"attune"
)

// replacePackPolicies puts in force what a version's files say, and nothing that an earlier version's said. The caller
// holds the locks of lockChanges.
func replacePackPolicies(ctx context.Context, tx pgx.Tx, m attune.Manifest) error {
	rows, err := tx.Query(ctx, `delete from policies
		where origin = 'pack' and split_part(scope, '.', 1) = $1 returning scope`, m.Ref)
	if err != nil {
		return err
	}
	scopes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	said := map[string]attune.Policy{m.Ref: m.Policy}
	for _, a := range m.Actions {
		said[a.Ref] = a.Policy
	}
	for scope, p := range said {
		if gateOf(p).empty() {
			continue
		}
		if err := upsertPolicy(ctx, tx, scope, attune.OriginPack, p); err != nil {
			return err
		}
		scopes = append(scopes, scope)
	}
	slices.Sort(scopes)
	for _, scope := range slices.Compact(scopes) {
		if err := enforce(ctx, tx, scope); err != nil {
			return err
		}
	}
	return nil
}

// dropPolicies removes all policies of a pack that is being removed. Executions that are still running leave the
// queues of a concurrency key, as they do whenever a key goes, so that the limits of the pack count them when it comes
// back. The caller holds the locks of lockChanges.
func dropPolicies(ctx context.Context, tx pgx.Tx, pack string) error {
	if _, err := tx.Exec(ctx, `delete from policies where split_part(scope, '.', 1) = $1`, pack); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `with gone as (
			delete from gates where split_part(scope, '.', 1) = $1 returning *
		)
		select scope from gone where cardinality(concurrency_key) > 0 order by scope`, pack)
	if err != nil {
		return err
	}
	keyed, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, action := range keyed {
		if err := rekey(ctx, tx, action, nil); err != nil {
			return err
		}
	}
	return nil
}
