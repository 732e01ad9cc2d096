package storage

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
)

// Policies reads the bounds of executions, as packs and operators set them.
type Policies struct{ pool, lists *pgxpool.Pool }

// ScopeName is how people and programs name the column scope.
func ScopeName(text string) string {
	switch {
	case text == "":
		return "global"
	case strings.Contains(text, "."):
		return "actions/" + text
	default:
		return "packs/" + text
	}
}

const inForce = `select distinct on (scope) scope, origin, policy, updated_at from policies
	where %s order by scope, origin = 'operator' desc`

// List returns the policies in force, by scope. allowed, where not empty, leaves only these packs and the global scope.
func (s *Policies) List(ctx context.Context, allowed []string) ([]attune.ScopedPolicy, error) {
	return list(ctx, s.lists, "list policies", scanPolicy, strings.Replace(inForce, "%s",
		`scope = '' or cardinality($1::text[]) = 0 or split_part(scope, '.', 1) = any($1)`, 1), array(allowed))
}

// GetPolicy returns the policy in force for a scope, given as in the column scope, or pgx.ErrNoRows. db is a pool or a
// transaction.
func GetPolicy(ctx context.Context, db Querier, scope string) (attune.ScopedPolicy, error) {
	return scanPolicy(db.QueryRow(ctx, strings.Replace(inForce, "%s", "scope = $1", 1), scope))
}

func scanPolicy(row pgx.Row) (p attune.ScopedPolicy, err error) {
	err = row.Scan(&p.Scope, &p.Origin, &p.Policy, &p.UpdatedAt)
	p.Scope = ScopeName(p.Scope)
	return p, err
}

// Key names the parameters whose values divide an action's executions into queues; none without a concurrency key.
func (s *Policies) Key(ctx context.Context, action string) ([]string, error) {
	key, err := ConcurrencyKey(ctx, s.pool, action)
	return key, Translate("read concurrency key", err)
}

// ConcurrencyKey is Policies.Key on a pool or within a transaction.
func ConcurrencyKey(ctx context.Context, db Querier, action string) (key []string, err error) {
	err = db.QueryRow(ctx, `select concurrency_key from gates where scope = $1`, action).Scan(&key)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return key, err
}
