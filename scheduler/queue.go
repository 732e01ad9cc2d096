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

// WakeChannel is notified, without a payload, whenever a worker may find something to do: an execution was queued, a
// slot was freed, a cancellation was asked for.
const WakeChannel = "attune_executions"

// Queue is the line of executions in PostgreSQL. Its methods may be called from any number of goroutines and processes.
type Queue struct {
	db  *storage.DB
	log *slog.Logger

	// layered says that a limit is known to stand above single queues, or that nobody has looked yet.
	layered     atomic.Bool
	submissions group[entry, *place]
	actions     actionCache
	waiters     waiters

	// wake asks Run for a notification.
	wake chan struct{}
	mu   sync.Mutex
	// workers of this process are told directly, without the way through the database.
	workers map[*subscription]bool
}

// subscription is how a worker is told: something may be taken, or it should look at everything, such as what is to be stopped
// or what time alone will let go.
type subscription struct{ wake, look chan struct{} }

// NewQueue returns the queue of a database. Until Run is called, other processes rely on polling.
func NewQueue(db *storage.DB, log *slog.Logger) *Queue {
	q := &Queue{db: db, log: log, wake: make(chan struct{}, 1), workers: make(map[*subscription]bool)}
	q.layered.Store(true)
	q.submissions = group[entry, *place]{flush: q.enqueue, size: func(e entry) int { return len(e.parameters) }}
	q.actions.init(db)
	q.waiters.init()
	return q
}

// notifyPause is the least time between two notifications: a burst of wake-ups becomes few of them, since each NOTIFY
// takes a lock that all commits with one share. lookPause is the same for looks at what other processes have ended.
const (
	notifyPause = 10 * time.Millisecond
	lookPause   = 50 * time.Millisecond
)

// Run sends wake-ups to other processes and hears of theirs, until ctx ends. They are sent from here and not from the
// transactions that cause them, since NOTIFY inside a transaction serializes commits; and not at all while nobody else listens.
func (q *Queue) Run(ctx context.Context) error {
	listener := q.db.Listen(ctx, WakeChannel)
	defer listener.Wait()
	poll := time.NewTicker(DefaultPollInterval)
	defer poll.Stop()
	others, err := listener.Others(ctx)
	alone := err == nil && !others
	var notified, looked time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-listener.C(WakeChannel):
			q.wakeLocal(true)
			q.tell(ctx)
		case <-q.waiters.look:
			if !pause(ctx, lookPause-time.Since(looked)) {
				return nil
			}
			looked = time.Now()
			q.tell(ctx)
		case <-poll.C:
			q.tell(ctx)
			others, err = listener.Others(ctx)
			alone = err == nil && !others
		case <-q.wake:
			if alone {
				continue
			}
			if !pause(ctx, notifyPause-time.Since(notified)) {
				return nil
			}
			notified = time.Now()
			// A lost wake-up costs one poll interval, so it is logged and not repeated.
			if err := q.db.Notify(ctx, WakeChannel); err != nil && ctx.Err() == nil {
				q.log.Warn("wake-up not sent", "error", err)
			}
		}
	}
}

// pause returns false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// signal wakes the workers of this process, asks Run to wake those of others, and never blocks.
func (q *Queue) signal() {
	q.wakeLocal(false)
	offer(q.wake)
}

// signalLook does the same after executions were asked to end, or some wait for a time to come.
func (q *Queue) signalLook() {
	q.wakeLocal(true)
	offer(q.wake)
}

// wakeLocal wakes the workers of this process.
func (q *Queue) wakeLocal(look bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for s := range q.workers {
		offer(s.wake)
		if look {
			offer(s.look)
		}
	}
}

// subscribe begins to tell a worker, until the returned function is called.
func (q *Queue) subscribe() (*subscription, func()) {
	s := &subscription{wake: make(chan struct{}, 1), look: make(chan struct{}, 1)}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.workers[s] = true
	return s, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.workers, s)
	}
}

// offer puts a signal where none waits yet.
func offer(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// transact runs fn in a short transaction under READ COMMITTED, where each statement has a snapshot of its own.
func (q *Queue) transact(ctx context.Context, fn func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, q.db.Pool(), pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn)
}

// admission runs fn under the admission lock.
func (q *Queue) admission(ctx context.Context, fn func(pgx.Tx) error) error {
	return q.transact(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, lockAdmission); err != nil {
			return err
		}
		return fn(tx)
	})
}

// isNoRows tells that a guarded statement found nothing in the state it expected.
func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// cleanupTimeout bounds what must still be said when the context that asked for it has ended.
const cleanupTimeout = 30 * time.Second
