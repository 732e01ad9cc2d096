package scheduler

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"attune/storage"
)

// Queue is the executions in PostgreSQL, from submission to end. Its methods may be called from any number of
// goroutines and processes.
type Queue struct {
	db  *storage.DB
	log *slog.Logger

	// layered is false only when no limit is known to stand above single queues.
	layered     atomic.Bool
	submissions batcher[entry, *enqueued]
	actions     actionCache
	waiters     waiters

	// notify asks Run to wake other processes, deadlines to look for an earlier one.
	notify, deadlines chan struct{}
	mu                sync.Mutex
	// workers of this process are woken directly, without the way through the database.
	workers map[*subscription]bool
}

// NewQueue returns the queue of a database. Until Run is called, other processes rely on polling, and what time alone
// lets happen is left to them.
func NewQueue(db *storage.DB, log *slog.Logger) *Queue {
	q := &Queue{
		db: db, log: log,
		notify: make(chan struct{}, 1), deadlines: make(chan struct{}, 1), workers: make(map[*subscription]bool),
	}
	q.layered.Store(true)
	q.submissions = batcher[entry, *enqueued]{flush: q.enqueue, size: func(e entry) int { return len(e.parameters) }}
	q.actions.init(db)
	q.waiters.init()
	return q
}

// transact runs fn in a short transaction under READ COMMITTED, where each statement has a snapshot of its own.
func (q *Queue) transact(ctx context.Context, fn func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, q.db.Pool(), pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn)
}

// admissionBatch returns a batch whose statements run under the admission lock. It is sent whole and is one
// transaction: a process that is stopped in the middle of it does not keep the lock.
func admissionBatch() *pgx.Batch {
	batch := &pgx.Batch{}
	batch.Queue(`select pg_advisory_xact_lock($1, 0)`, lockAdmission)
	return batch
}

// admission runs fn under the admission lock, where what comes next depends on what a statement returns.
func (q *Queue) admission(ctx context.Context, fn func(pgx.Tx) error) error {
	return q.transact(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, lockAdmission); err != nil {
			return err
		}
		return fn(tx)
	})
}

// isNoRows reports whether a guarded statement found nothing in the state it expected.
func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// cleanupTimeout bounds what must still be said when the context that asked for it has ended.
const cleanupTimeout = 30 * time.Second
