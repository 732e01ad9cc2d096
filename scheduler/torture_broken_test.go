package scheduler

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/scheduler/history"
)

// The checker is worth something only if it catches an admission that is wrong. These are ours with one thing changed.

// brokenAdmission gives a worker slots within a transaction.
type brokenAdmission func(context.Context, pgx.Tx, workerLife) ([]Claim, error)

// changed is admitSQL with one part replaced.
func changed(t *testing.T, part, by string) string {
	t.Helper()
	if !strings.Contains(admitSQL, part) {
		t.Fatalf("admit.sql has no %q any more; break it in another way", part)
	}
	return strings.Replace(admitSQL, part, by, 1)
}

// lockFirst is right, unless the statement is wrong.
func lockFirst(sql string) brokenAdmission {
	return func(ctx context.Context, tx pgx.Tx, life workerLife) ([]Claim, error) {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, lockAdmission); err != nil {
			return nil, err
		}
		return takeClaims(ctx, tx, sql, life.Name, life.ID, 2, rand.Int64N(maxNumber), false)
	}
}

// lockWhileCounting has the lock and the count in one statement, whose snapshot is older than the lock: trap 2.
func lockWhileCounting(t *testing.T) brokenAdmission {
	const count = `select queue_id, action, pack, count(*)::integer as slots from slots where status <> 'free' ` +
		`group by queue_id, action, pack`
	sql := changed(t, count, `select * from json_to_recordset($6::json) as x(queue_id integer, action text, pack text, slots integer)`)
	return func(ctx context.Context, tx pgx.Tx, life workerLife) ([]Claim, error) {
		var taken string
		err := tx.QueryRow(ctx, `with lock as materialized (select pg_advisory_xact_lock($1, 0))
			select coalesce(json_agg(taken), '[]')::text from lock left join (`+count+`) taken on true where taken is not null`,
			lockAdmission).Scan(&taken)
		if err != nil {
			return nil, err
		}
		return takeClaims(ctx, tx, sql, life.Name, life.ID, 2, rand.Int64N(maxNumber), false, taken)
	}
}

func takeClaims(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]Claim, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	claims, _, err := scanAdmission(rows, 2)
	return claims, err
}

func TestBrokenAdmissionsAreCaught(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		admit brokenAdmission
		rule  history.Rule
	}{
		"nothing is broken": {lockFirst(admitSQL), ""},
		"the newest goes first": {
			lockFirst(changed(t, "order by w.ticket limit", "order by w.ticket desc limit")), history.RuleOrder},
		"a locked head is skipped":              {lockFirst(skipping(t)), history.RuleOrder},
		"the count shares the lock's statement": {lockWhileCounting(t), history.RuleLimit},
		"the limit of a queue is left out": {
			lockFirst(changed(t, "g.queue_limit - coalesce(t.slots, 0)", "$3::integer")), history.RuleLimit},
		"the window of a rate limit is left out": {
			lockFirst(changed(t, "and s.at > clock.now - g.rate_window", "and false")), history.RuleRate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, found := try(t, test.admit, test.rule)
			if test.rule == "" {
				report(t, all, found)
			} else if !slices.ContainsFunc(found, func(v history.Violation) bool { return v.Rule == test.rule }) {
				t.Errorf("nothing of %q was found, but %v", test.rule, found)
			}
		})
	}
}

func skipping(t *testing.T) string {
	t.Helper()
	const head = "least(l.room, a.room, p.room, g.room))"
	return changed(t, head, head+" for update of w skip locked")
}

// try has an admission serve three workers under load until the checker finds something of a rule, or for a while.
func try(t *testing.T, admit brokenAdmission, rule history.Rule) (all []history.Transaction, found []history.Violation) {
	t.Helper()
	keyed := action("keyed", 1)
	keyed.Policy.Concurrency.Key, keyed.Parameters = []string{"customer"}, []byte(customers)
	rated := action("rated", 0)
	rated.Policy.RateLimit = &attune.RateLimit{MaxExecutions: 3, WindowSeconds: 1}
	q, recorder, _ := setupRecorded(t, action("one", 1), keyed, rated)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	if rule == "" {
		ctx, stop = context.WithTimeout(t.Context(), time.Second)
		defer stop()
	}
	var parties sync.WaitGroup
	parties.Go(func() {
		for pause(ctx, time.Millisecond) {
			for _, name := range []string{"one", "keyed", "rated"} {
				submit(t, q, "ops."+name)
			}
		}
	})
	parties.Go(func() { holdHeads(ctx, t, q) })
	for i := range 3 {
		parties.Go(func() { toil(ctx, t, q, lifeOf(t, q, fmt.Sprint("w", i)), admit) })
	}
	for pause(ctx, 200*time.Millisecond) {
		var err error
		all, err = recorder.Transactions(t.Context())
		if err != nil {
			t.Error(err)
			break
		}
		found = history.Check(all)
		if slices.ContainsFunc(found, func(v history.Violation) bool { return v.Rule == rule }) {
			break
		}
	}
	stop()
	parties.Wait()
	return all, found
}

// toil is a worker without a conscience.
func toil(ctx context.Context, t *testing.T, q *Queue, life workerLife, admit brokenAdmission) {
	b := newBook(q, life.Name)
	for pause(ctx, time.Millisecond) {
		var claims []Claim
		err := q.transact(t.Context(), func(tx pgx.Tx) (err error) {
			claims, err = admit(t.Context(), tx, life)
			return err
		})
		if err != nil {
			t.Error(err)
			return
		}
		for _, c := range claims {
			pause(ctx, 2*time.Millisecond)
			if _, err := b.start(t.Context(), c); err != nil {
				t.Error(err)
			}
			if err := b.finish(t.Context(), c, Outcome{Status: attune.StatusCompleted}); err != nil {
				t.Error(err)
			}
		}
	}
}

// holdHeads locks the front of the lines now and then, as somebody who reads for update does.
func holdHeads(ctx context.Context, t *testing.T, q *Queue) {
	for pause(ctx, 20*time.Millisecond) {
		err := q.transact(t.Context(), func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `select from waiting order by ticket limit 1 for update skip locked`); err != nil {
				return err
			}
			pause(ctx, 10*time.Millisecond)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
