package scheduler

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// enqueued is what a submission became.
type enqueued struct {
	ID          string
	PackVersion string
	ImageDigest string
	CreatedAt   time.Time
	Position    int
	// MayExpire: a policy bounds how long it waits.
	MayExpire bool
}

// errOutdated: an installation, a key or a queue changed between the check and the lock.
var errOutdated = errors.New("what the submission was checked against has changed")

func isOutdated(err error) bool { return errors.Is(err, errOutdated) }

func asError(err error) *attune.Error {
	e, _ := errors.AsType[*attune.Error](err)
	return e
}

// enqueue commits a batch of submissions. Nil stands for one that was left out, see enqueue.sql.
func (q *Queue) enqueue(ctx context.Context, all []entry) ([]*enqueued, error) {
	batch := &pgx.Batch{}
	lockQueues(batch, all)
	made := insert(batch, all, false)
	// A batch is one transaction, and each of its statements has a snapshot of its own, younger than the locks.
	err := q.db.Pool().SendBatch(ctx, batch).Close()
	if err != nil && len(all) > 1 && attune.CodeOf(storage.Translate("", err)) != attune.CodeUnavailable {
		// One that the database refuses must not take the others with it.
		return q.enqueueSingly(ctx, all)
	}
	return made, storage.Translate("enqueue executions", err)
}

// enqueueSingly leaves out what the database refuses: Submit meets the error again on the slower way.
func (q *Queue) enqueueSingly(ctx context.Context, all []entry) ([]*enqueued, error) {
	made := make([]*enqueued, len(all))
	for i := range all {
		one, err := q.enqueue(ctx, all[i:i+1])
		if err == nil {
			made[i] = one[0]
		} else if attune.CodeOf(err) == attune.CodeUnavailable {
			return nil, err
		}
	}
	return made, nil
}

// lockQueues adds the locks that submissions need to a batch, in the order that all transactions keep.
func lockQueues(batch *pgx.Batch, all []entry) {
	queues := make([]int32, len(all))
	for i, e := range all {
		queues[i] = e.queue
	}
	slices.Sort(queues)
	batch.Queue(`select pg_advisory_xact_lock_shared($1, 0), pg_advisory_xact_lock($2, id)
		from unnest($3::integer[]) id`, lockSubmission, lockQueue, slices.Compact(queues))
}

// insert adds submissions to a batch; checked says that policies have been asked. What they became is known when the
// batch has been sent: nil stands for one that was left out.
func insert(batch *pgx.Batch, all []entry, checked bool) []*enqueued {
	n := len(all)
	queues, installations := make([]int32, n), make([]string, n)
	keys, parameters := make([]string, n), make([]string, n)
	for i, e := range all {
		queues[i], installations[i], parameters[i] = e.queue, e.action.InstallationID, string(e.parameters)
		keys[i] = strings.Join(e.action.key, "\x1f")
	}
	made := make([]*enqueued, n)
	enqueueSQL.queue(batch, pgx.NamedArgs{
		"queues": queues, "installations": installations, "keys": keys, "parameters": parameters, "checked": checked,
	}).Query(func(rows pgx.Rows) error {
		var turn int
		var e enqueued
		fields := []any{&turn, &e.ID, &e.PackVersion, &e.ImageDigest, &e.CreatedAt, &e.Position, &e.MayExpire}
		_, err := pgx.ForEachRow(rows, fields, func() error {
			one := e
			made[turn-1] = &one
			return nil
		})
		return err
	})
	return made
}
