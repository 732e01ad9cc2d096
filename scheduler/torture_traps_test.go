package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage/storagetest"
)

// Each of these is a mistake that queues in PostgreSQL make.

// awaitBlockedBy returns when so many transactions of the database wait for an advisory lock, or for a row.
func awaitBlockedBy(t *testing.T, q *Queue, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		var blocked int
		err := q.db.Pool().QueryRow(ctx, `select count(*) from pg_stat_activity
			where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0`).Scan(&blocked)
		if err == nil && blocked == n {
			return
		}
		if !pause(ctx, 5*time.Millisecond) {
			t.Fatalf("%d wait for a lock (%v), want %d", blocked, err, n)
		}
	}
}

// TestTrapTicketsAreNotCommitOrder: the first submitter has its ticket and is slow to commit; the second is fast.
func TestTrapTicketsAreNotCommitOrder(t *testing.T) {
	t.Parallel()
	q, recorder, _ := setupRecorded(t, action("one", 1))
	e, err := q.check(t.Context(), Submission{Action: "ops.one"}, false)
	if err != nil {
		t.Fatal(err)
	}
	var slow []*enqueued
	fast := make(chan attune.Execution, 1)
	err = q.transact(t.Context(), func(tx pgx.Tx) (err error) {
		batch := &pgx.Batch{}
		lockQueues(batch, []entry{e})
		slow = insert(batch, []entry{e}, false)
		if err := tx.SendBatch(t.Context(), batch).Close(); err != nil {
			return err
		}
		go func() {
			made, err := q.Submit(t.Context(), Submission{Action: "ops.one"})
			if err != nil {
				t.Error(err)
			}
			fast <- made
		}()
		awaitBlockedBy(t, q, 1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{slow[0].ID, (<-fast).ID} {
		claims := admit(t, q, "w", 1)
		if len(claims) != 1 || claims[0].ID != want {
			t.Fatalf("admitted %v, want %s", ids(claims), want)
		}
		end(t, q, "w", claims[0])
	}
	expectGood(t, recorder)
}

// TestTrapCountOlderThanTheLock: two workers wait for the admission lock at the same time, with one slot to be had.
// In this database, a transaction has one snapshot unless it says otherwise.
func TestTrapCountOlderThanTheLock(t *testing.T) {
	t.Parallel()
	before, recorder, url := setupRecorded(t, action("one", 1))
	execute(t, before, `do $$ begin
		execute format('alter database %I set default_transaction_isolation = "repeatable read"', current_database());
	end $$`)
	q := NewQueue(storagetest.ReopenDB(t, url), slog.New(slog.DiscardHandler))
	submit(t, q, "ops.one")
	submit(t, q, "ops.one")
	lives := []workerLife{lifeOf(t, q, "v"), lifeOf(t, q, "w")}
	var mu sync.Mutex
	var given []Claim
	var workers sync.WaitGroup
	err := q.admission(t.Context(), func(pgx.Tx) error {
		for _, life := range lives {
			workers.Go(func() {
				a, err := q.admit(t.Context(), life, 2)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				given = append(given, a.claims...)
			})
		}
		awaitBlockedBy(t, q, 2)
		return nil
	})
	workers.Wait()
	if err != nil || len(given) != 1 {
		t.Errorf("given were %v (%v), want one at limit 1", ids(given), err)
	}
	expectGood(t, recorder)
}

// TestTrapLockedHeadIsNotSkipped: somebody holds the row of the head.
func TestTrapLockedHeadIsNotSkipped(t *testing.T) {
	t.Parallel()
	q, recorder, _ := setupRecorded(t, action("one", 1))
	head := submit(t, q, "ops.one")
	submit(t, q, "ops.one")
	life := lifeOf(t, q, "w")
	given := make(chan []Claim, 1)
	err := q.transact(t.Context(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select from waiting where id = $1 for update`, head.ID); err != nil {
			return err
		}
		go func() {
			a, err := q.admit(t.Context(), life, 1)
			if err != nil {
				t.Error(err)
			}
			given <- a.claims
		}()
		awaitBlockedBy(t, q, 1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if claims := <-given; len(claims) != 1 || claims[0].ID != head.ID {
		t.Errorf("admitted %v, want the head, %s", ids(claims), head.ID)
	}
	expectGood(t, recorder)
}

// TestTrapLocksEndWithTheirTransaction: no advisory lock stays with a connection that goes back to the pool.
func TestTrapLocksEndWithTheirTransaction(t *testing.T) {
	t.Parallel()
	q, _, _ := setupRecorded(t, action("one", 1))
	e := submit(t, q, "ops.one")
	if _, err := q.SetPolicy(t.Context(), attune.Scope{},
		attune.Policy{Concurrency: &attune.Concurrency{Limit: 1}}); err != nil {
		t.Fatal(err)
	}
	admit(t, q, "w", 1)
	if _, err := q.Cancel(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	if err := q.maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	var held int
	err := q.db.Pool().QueryRow(t.Context(), `select count(*) from pg_locks l join pg_database d on d.oid = l.database
		where l.locktype = 'advisory' and d.datname = current_database()`).Scan(&held)
	if err != nil || held != 0 {
		t.Errorf("%d advisory locks are still held (%v)", held, err)
	}
}

// TestTrapNotificationsAreFewAndEmpty: NOTIFY serializes commits, and one of more than 8000 bytes fails.
func TestTrapNotificationsAreFewAndEmpty(t *testing.T) {
	t.Parallel()
	q, _, url := setupRecorded(t, action("free", 0))
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	// Another process is known by its name, and while there is none nobody is notified.
	if _, err := conn.Exec(t.Context(),
		`set application_name = 'listens to `+WakeChannel+`'; listen `+WakeChannel); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	begin := time.Now()
	const n = 300
	for range n {
		submit(t, q, "ops.free")
	}
	most := int(time.Since(begin)/notifyPause) + 2
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// One that is known to come after all of the others.
	if _, err := storagetest.ReopenDB(t, url).Pool().Exec(t.Context(), "select pg_notify($1, 'last')",
		WakeChannel); err != nil {
		t.Fatal(err)
	}
	for sent := 0; ; sent++ {
		got, err := conn.WaitForNotification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.Payload == "last" {
			if sent == 0 || sent > most {
				t.Errorf("%d notifications were sent for %d submissions, want 1 to %d", sent, n, most)
			}
			return
		}
		if got.Payload != "" {
			t.Errorf("a notification says %q", got.Payload)
		}
	}
}

// TestTrapLeaseIsNotDeath: a worker that lost its claim writes nothing, whatever it tries.
func TestTrapLeaseIsNotDeath(t *testing.T) {
	t.Parallel()
	q, recorder, _ := setupRecorded(t, triedAgain("one", 1))
	e := submit(t, q, "ops.one")
	stale := admit(t, q, "w", 1)[0]
	if err := q.release(t.Context(), lifeOf(t, q, "w"), nil); err != nil {
		t.Fatal(err)
	}
	// The same worker, the same slot, the same execution and attempt: only the claim is another one.
	held := admit(t, q, "w", 1)[0]
	begin(t, q, "w", stale)
	wantEnd(t, q, e.ID, attune.StatusScheduled, "")
	begin(t, q, "w", held)
	failed := Outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonWorkerLost}
	retry := &attune.Retry{MaxAttempts: 2, Reasons: []attune.Reason{attune.ReasonWorkerLost}}
	for _, r := range []*attune.Retry{nil, retry} {
		settleAs(t, q, stale, r, failed)
	}
	if e, err := q.db.Executions.Get(t.Context(), e.ID); err != nil || e.Status != attune.StatusRunning {
		t.Errorf("after a stale end it is %s (%v), want running", e.Status, err)
	}
	finish(t, q, "w", held, Outcome{Status: attune.StatusCompleted})
	expectDrained(t, recorder, []string{e.ID})
}
