package scheduler

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"attune/storage"
)

// WakeChannel is notified, without a payload, whenever a worker may find something to do: an execution was queued, a
// slot was freed, a cancellation was asked for.
const WakeChannel = "attune_executions"

// Advisory lock classes: the first half of the two-part key. All are transaction-level.
const (
	// lockAdmission (second half 0) serializes whoever gives out slots.
	lockAdmission = 1
	// lockQueue (second half queues.id) serializes whoever draws tickets of one queue.
	lockQueue = 2
)

// Queue is the line of executions in PostgreSQL. Its methods may be called from any number of goroutines and processes.
type Queue struct {
	db   *storage.DB
	log  *slog.Logger
	wake chan struct{}
}

// NewQueue returns the queue of a database. Until Run is called, wake-ups wait and workers rely on polling.
func NewQueue(db *storage.DB, log *slog.Logger) *Queue {
	return &Queue{db: db, log: log, wake: make(chan struct{}, 1)}
}

// Run sends wake-ups until ctx ends. They are sent from here and not from the transactions that cause them, since NOTIFY
// inside a transaction serializes commits; those that come while one is being sent become one.
func (q *Queue) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-q.wake:
		}
		// A lost wake-up costs one poll interval, so it is logged and not repeated.
		if err := q.db.Notify(ctx, WakeChannel); err != nil && ctx.Err() == nil {
			q.log.Warn("wake-up not sent", "error", err)
		}
	}
}

// signal asks Run for a wake-up and never blocks.
func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// transact runs fn in a short transaction under READ COMMITTED, where each statement has a snapshot of its own.
func (q *Queue) transact(ctx context.Context, fn func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, q.db.Pool(), pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn)
}

// isNoRows tells that a guarded statement found nothing in the state it expected.
func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// cleanupTimeout bounds what must still be said when the context that asked for it has ended.
const cleanupTimeout = 30 * time.Second
