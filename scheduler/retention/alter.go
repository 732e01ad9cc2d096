package retention

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"attune"
	"attune/internal/retry"
)

const (
	// lockTimeout is how long a change of partitions waits for its locks. Statements that end or look up an execution
	// queue behind it.
	lockTimeout = "500ms"
	// lockPause, between two attempts, is several times as long: the others go on.
	lockPause = 2 * time.Second
	lockTries = 3
)

// alter runs fn in a transaction that waits only briefly for a lock, a few times over. Dropping or making a partition
// takes ACCESS EXCLUSIVE on the table and its default partition; with a default partition there is no gentler way
// ("detach concurrently" refuses). The locks are held for some milliseconds, whatever the size of the partition: files
// are unlinked after the commit.
func (h history) alter(ctx context.Context, fn func(pgx.Tx) error) error {
	left := lockTries
	err := retry.Do(ctx, retry.Pauses(lockPause, lockPause), func() error {
		left--
		err := h.alterOnce(ctx, fn)
		if err != nil && (left == 0 || !lockedOut(err)) {
			return retry.Permanent(err)
		}
		return err
	}, nil)
	if lockedOut(err) {
		return &attune.Error{Code: attune.CodeUnavailable, Cause: err,
			Message: "history is being read for a long time, by a backup perhaps, so its partitions cannot be changed"}
	}
	return err
}

func (h history) alterOnce(ctx context.Context, fn func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, h.db.Pool(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set local lock_timeout = '`+lockTimeout+`'`); err != nil {
			return err
		}
		return fn(tx)
	})
}

// lockedOut reports whether a transaction failed for a lock that others hold: lock_not_available, deadlock_detected.
func lockedOut(err error) bool {
	state := sqlState(err)
	return state == "55P03" || state == "40P01"
}

func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// sendEach runs the statements of a batch one after the other: each may need what the one before has made before it can
// even be parsed.
func sendEach(ctx context.Context, tx pgx.Tx, batch *pgx.Batch) error {
	for _, q := range batch.QueuedQueries {
		if _, err := tx.Exec(ctx, q.SQL, q.Arguments...); err != nil {
			return err
		}
	}
	return nil
}
