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

// changed is an admission with one part replaced. It has all of the statement's arguments, in the same order.
func changed(t *testing.T, sql sqlText, part, by string) sqlText {
	t.Helper()
	if !strings.Contains(sql.text, part) {
		t.Fatalf("the admission has no %q any more; break it in another way", part)
	}
	sql.text = strings.ReplaceAll(sql.text, part, by)
	return sql
}

// lockFirst is right, unless the statement is wrong.
func lockFirst(sql sqlText) brokenAdmission {
	return func(ctx context.Context, tx pgx.Tx, life workerLife) ([]Claim, error) {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, lockAdmission); err != nil {
			return nil, err
		}
		return takeClaims(ctx, tx, sql, life, 2)
	}
}

// lockWhileCounting has the lock and the count in one statement, whose snapshot is older than the lock: trap 2.
func lockWhileCounting(t *testing.T, sql sqlText, count string) brokenAdmission {
	t.Helper()
	sql = changed(t, sql, count, fmt.Sprintf(`select * from json_to_recordset($%d::json)
		as x(queue_id integer, action text, pack text, slots integer)`, len(sql.names)+1))
	return func(ctx context.Context, tx pgx.Tx, life workerLife) ([]Claim, error) {
		var taken string
		err := tx.QueryRow(ctx, `with lock as materialized (select pg_advisory_xact_lock($1, 0))
			select coalesce(json_agg(taken), '[]')::text from lock left join (`+count+`) taken on true where taken is not null`,
			lockAdmission).Scan(&taken)
		if err != nil {
			return nil, err
		}
		return takeClaims(ctx, tx, sql, life, 2, taken)
	}
}

func takeClaims(ctx context.Context, tx pgx.Tx, sql sqlText, life workerLife, n int, more ...any) ([]Claim, error) {
	args := sql.args(pgx.NamedArgs{"worker": life.Name, "life": life.ID, "most": n, "number": rand.Int64N(maxNumber)})
	rows, err := tx.Query(ctx, sql.text, append(args, more...)...)
	if err != nil {
		return nil, err
	}
	return scanClaims(rows, n)
}

// broken is an admission with the rule that it breaks.
type broken struct {
	admit brokenAdmission
	rule  history.Rule
}

func TestBrokenAdmissionsAreCaught(t *testing.T) {
	t.Parallel()
	tests := map[string]broken{
		"admit: the window of a rate limit is left out": {
			lockFirst(changed(t, admitSQL, "and s.at > clock.now - g.rate_window", "and false")), history.RuleRate},
	}
	for _, of := range []struct {
		name         string
		sql          sqlText
		count        string
		limit, front string
	}{
		{"admit", admitSQL, `select queue_id, action, pack, count(*)::integer as slots
    from slots where status <> 'free' group by queue_id, action, pack`,
			"g.queue_limit - coalesce(t.slots, 0)", "least(q.room, a.room, p.room, g.room))"},
		{"admit_plain", admitPlainSQL,
			`select queue_id, count(*)::integer as slots from slots where status <> 'free' group by queue_id`,
			"coalesce(g.queue_limit, g.concurrency_limit) - coalesce(t.slots, 0)", "limit f.room"},
	} {
		most := fmt.Sprint("$", slices.Index(of.sql.names, "most")+1, "::integer")
		tests[of.name+": nothing is broken"] = broken{lockFirst(of.sql), ""}
		tests[of.name+": the newest goes first"] = broken{
			lockFirst(changed(t, of.sql, "order by w.ticket limit", "order by w.ticket desc limit")), history.RuleOrder}
		tests[of.name+": a locked head is skipped"] = broken{
			lockFirst(changed(t, of.sql, of.front, of.front+" for update of w skip locked")), history.RuleOrder}
		tests[of.name+": the count shares the lock's statement"] = broken{
			lockWhileCounting(t, of.sql, of.count), history.RuleLimit}
		tests[of.name+": the limit of a queue is left out"] = broken{
			lockFirst(changed(t, of.sql, of.limit, most)), history.RuleLimit}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, found := try(t, test.admit, test.rule, strings.HasPrefix(name, "admit_plain"))
			if test.rule == "" {
				report(t, all, found)
			} else if !slices.ContainsFunc(found, func(v history.Violation) bool { return v.Rule == test.rule }) {
				t.Errorf("nothing of %q was found, but %v", test.rule, found)
			}
		})
	}
}

// try has an admission serve three workers under load until the checker finds something of a rule, or for a while.
func try(t *testing.T, admit brokenAdmission, rule history.Rule, plain bool) (all []history.Transaction,
	found []history.Violation) {
	t.Helper()
	keyed := action("keyed", 1)
	keyed.Policy.Concurrency.Key, keyed.Parameters = []string{"customer"}, []byte(customers)
	rated := action("rated", 0)
	if !plain { // which gives nothing where there is such a limit
		rated.Policy.RateLimit = &attune.RateLimit{MaxExecutions: 3, WindowSeconds: 1}
	}
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
	r := newRecorder(q, life.Name)
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
		for i := range claims {
			begun := time.Now()
			pause(ctx, 2*time.Millisecond)
			if err := r.start(t.Context(), &claims[i], begun); err != nil {
				t.Error(err)
			}
			if err := r.settle(t.Context(), &claims[i], Outcome{Status: attune.StatusCompleted}, begun); err != nil {
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
