package storage

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
)

// Policies are what bounds executions, as the packs and the operator set it.
type Policies struct{ pool *pgxpool.Pool }

// scopeColumn is how the tables name a scope.
func scopeColumn(s attune.Scope) string {
	if s.Action != "" {
		return s.Action
	}
	return s.Pack
}

// ScopeName is how people and programs name what scopeColumn returns.
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

// Set puts the operator's policy of a scope in force: every admission and submission that commits later knows it.
// CodeNotFound: pack or action is not installed. CodeInvalid: a key that is not a parameter.
func (s *Policies) Set(ctx context.Context, scope attune.Scope, p attune.Policy) (set attune.ScopedPolicy, err error) {
	err = s.change(ctx, scope, func(tx pgx.Tx) error {
		if err := checkKey(ctx, tx, scope, p); err != nil {
			return err
		}
		return upsertPolicy(ctx, tx, scopeColumn(scope), attune.OriginOperator, p)
	}, &set)
	return set, Translate("set policy", err, noScope(scope))
}

// Delete takes the operator's policy of a scope back; what the pack says is in force again.
func (s *Policies) Delete(ctx context.Context, scope attune.Scope) error {
	err := s.change(ctx, scope, func(tx pgx.Tx) error {
		return change(ctx, tx, `delete from policies where scope = $1 and origin = 'operator'`, scopeColumn(scope))
	}, nil)
	return Translate("delete policy", err, attune.Errorf(attune.CodeNotFound,
		"no policy was set for %s over the API; one of its pack's files is changed with the pack", ScopeName(scopeColumn(scope))))
}

// change does what changes a policy and puts the outcome in force; set, where not nil, gets it.
func (s *Policies) change(ctx context.Context, scope attune.Scope, do func(pgx.Tx) error, set *attune.ScopedPolicy) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lockChanges(ctx, tx); err != nil {
			return err
		}
		if err := do(tx); err != nil {
			return err
		}
		text := scopeColumn(scope)
		if err := enforce(ctx, tx, text); err != nil {
			return err
		}
		if set == nil {
			return nil
		}
		var err error
		*set, err = scanPolicy(tx.QueryRow(ctx, strings.Replace(inForce, "%s", "scope = $1", 1), text))
		return err
	})
}

// checkKey makes sure that the scope is there and that a key names its parameters. pgx.ErrNoRows says that it is not.
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

// replacePackPolicies puts in force what a version's files say, and nothing that an earlier version's said. The caller holds
// the locks of lockChanges.
func replacePackPolicies(ctx context.Context, tx pgx.Tx, m attune.Manifest) error {
	rows, err := tx.Query(ctx, `delete from policies where origin = 'pack' and split_part(scope, '.', 1) = $1 returning scope`, m.Ref)
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

// DropPolicies forgets all policies of a pack that is being removed. What runs on leaves the queues of a concurrency key, as it does
// whenever a key goes: whatever bounds the action when the pack comes back counts it. The caller holds LockAdmission and
// LockSubmission.
func DropPolicies(ctx context.Context, tx pgx.Tx, pack string) error {
	if _, err := tx.Exec(ctx, `delete from policies where split_part(scope, '.', 1) = $1`, pack); err != nil {
		return err
	}
	keyed, err := list(ctx, tx, "drop gates", scanText, `with gone as (
			delete from gates where split_part(scope, '.', 1) = $1 returning *
		)
		select scope from gone where cardinality(concurrency_key) > 0 order by scope`, pack)
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

// enforce makes the gate of a scope what its policies say. The caller holds the locks of lockChanges.
func enforce(ctx context.Context, tx pgx.Tx, scope string) error {
	found, err := scanPolicy(tx.QueryRow(ctx, strings.Replace(inForce, "%s", "scope = $1", 1), scope))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	before, err := concurrencyKey(ctx, tx, scope)
	if err != nil {
		return err
	}
	g := gateOf(found.Policy)
	if g.empty() {
		_, err = tx.Exec(ctx, `delete from gates where scope = $1`, scope)
	} else {
		_, err = tx.Exec(ctx, `insert into gates (scope, concurrency_limit, queue_limit, concurrency_key, method, rate_limit, rate_window,
				quota_limit, quota_seconds, max_waiting, max_wait)
			values ($1, $2, $3, $4, $5, $6, $7 * interval '1 second', $8, $9, $10, $11 * interval '1 second')
			on conflict (scope) do update set concurrency_limit = $2, queue_limit = $3, concurrency_key = $4, method = $5, rate_limit = $6,
				rate_window = $7 * interval '1 second', quota_limit = $8, quota_seconds = $9, max_waiting = $10,
				max_wait = $11 * interval '1 second'`,
			scope, g.total, g.perQueue, array(g.key), g.method, g.rate, g.window, g.quota, g.period, g.maxWaiting, g.maxWait)
	}
	if err != nil {
		return err
	}
	if err := enforceMaxWait(ctx, tx, scope); err != nil {
		return err
	}
	// Who had waited too long, and was passed over on the way to be ended, may wait on now.
	if _, err := tx.Exec(ctx, `update heads set passed = 0 from queues q
		where q.id = heads.queue_id and q.busy and $1 in ('', q.pack, q.action)`, scope); err != nil {
		return err
	}
	if slices.Equal(before, g.key) || !strings.Contains(scope, ".") {
		return nil
	}
	return rekey(ctx, tx, scope, g.key)
}

// enforceMaxWait says anew how long each execution of a scope may wait, if it returns to its place, too. One that had waited
// too long may wait on now, where admission has already passed over it.
func enforceMaxWait(ctx context.Context, tx pgx.Tx, scope string) error {
	batch := &pgx.Batch{}
	for table, which := range map[string]string{"waiting": "", "slots": " and status = 'scheduled'"} {
		batch.Queue(`update `+table+` t set wait_until = queued_at + (select min(max_wait) from gates
			where scope in ('', t.pack, t.action)) where $1 in ('', pack, action)`+which, scope)
	}
	batch.Queue(`update heads set passed = 0 where queue_id in (select queue_id from waiting where $1 in ('', pack, action))`, scope)
	return tx.SendBatch(ctx, batch).Close()
}

// concurrencyKey is the one that is in force.
func concurrencyKey(ctx context.Context, tx pgx.Tx, scope string) (key []string, err error) {
	err = tx.QueryRow(ctx, `select concurrency_key from gates where scope = $1`, scope).Scan(&key)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return key, err
}

// gate is a policy as the table gates has it.
type gate struct {
	total, perQueue, rate, window, quota, period, maxWaiting, maxWait *int
	key                                                               []string
	method                                                            attune.Method
}

func gateOf(p attune.Policy) gate {
	g := gate{method: attune.MethodEnqueue, maxWaiting: p.MaxWaiting, maxWait: p.MaxWaitSeconds}
	if c := p.Concurrency; c != nil {
		g.total, g.key = &c.Limit, c.Key
		if len(c.Key) > 0 {
			g.total, g.perQueue = c.Total, &c.Limit
		}
		if c.Method != "" {
			g.method = c.Method
		}
	}
	if p.RateLimit != nil {
		g.rate, g.window = &p.RateLimit.MaxExecutions, &p.RateLimit.WindowSeconds
	}
	if p.Quota != nil {
		g.quota, g.period = &p.Quota.MaxExecutions, &p.Quota.PeriodSeconds
	}
	return g
}

func (g gate) empty() bool {
	return g.total == nil && g.perQueue == nil && g.rate == nil && g.quota == nil && g.maxWaiting == nil && g.maxWait == nil
}

func noScope(s attune.Scope) *attune.Error {
	if s.Action != "" {
		return noAction(s.Action)
	}
	return noPack(s.Pack)
}

func scanPolicy(row pgx.Row) (p attune.ScopedPolicy, err error) {
	err = row.Scan(&p.Scope, &p.Origin, &p.Policy, &p.UpdatedAt)
	p.Scope = ScopeName(p.Scope)
	return p, err
}

// Key names the parameters whose values part an action's executions into queues; none where it has no concurrency key.
func (s *Policies) Key(ctx context.Context, action string) (key []string, err error) {
	err = s.pool.QueryRow(ctx, `select concurrency_key from gates where scope = $1`, action).Scan(&key)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return key, Translate("read concurrency key", err)
}
