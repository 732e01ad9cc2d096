package storage

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
)

// Policies are what bounds executions, as the packs and the operator set it.
type Policies struct{ pool *pgxpool.Pool }

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

// List returns what is in force, by scope. allowed, where not empty, leaves only these packs and the global scope.
func (s *Policies) List(ctx context.Context, allowed []string) ([]attune.ScopedPolicy, error) {
	return list(ctx, s.pool, "list policies", scanPolicy, strings.Replace(inForce, "%s",
		`scope = '' or cardinality($1::text[]) = 0 or split_part(scope, '.', 1) = any($1)`, 1), array(allowed))
}

// GetPolicy returns what is in force for a scope, given as the column scope names it; pgx.ErrNoRows: nothing is. db is
// a pool or a transaction.
func GetPolicy(ctx context.Context, db Querier, scope string) (attune.ScopedPolicy, error) {
	return scanPolicy(db.QueryRow(ctx, strings.Replace(inForce, "%s", "scope = $1", 1), scope))
}

func scanPolicy(row pgx.Row) (p attune.ScopedPolicy, err error) {
	err = row.Scan(&p.Scope, &p.Origin, &p.Policy, &p.UpdatedAt)
	p.Scope = ScopeName(p.Scope)
	return p, err
}

// Key names the parameters whose values part an action's executions into queues; none where it has no concurrency key.
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
