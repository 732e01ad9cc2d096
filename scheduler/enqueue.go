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

// place is where a submission stands.
type place struct {
	ID          string
	Ticket      int64
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

// enqueue commits a group of submissions. Nil stands for one that was passed over, see enqueue.sql.
func (q *Queue) enqueue(ctx context.Context, all []entry) ([]*place, error) {
	batch := &pgx.Batch{}
	lockQueues(batch, all)
	places := insert(batch, all, false)
	// A batch is one transaction, and each of its statements has a snapshot of its own, younger than the locks.
	err := q.db.Pool().SendBatch(ctx, batch).Close()
	if err != nil && len(all) > 1 && attune.CodeOf(storage.Translate("", err)) != attune.CodeUnavailable {
		// One that the database refuses must not take the others with it.
		return q.enqueueSingly(ctx, all)
	}
	return places, storage.Translate("enqueue executions", err)
}

// enqueueSingly leaves out whom the database refuses: Submit meets the error again on the slower way.
func (q *Queue) enqueueSingly(ctx context.Context, all []entry) ([]*place, error) {
	places := make([]*place, len(all))
	for i := range all {
		one, err := q.enqueue(ctx, all[i:i+1])
		if err == nil {
			places[i] = one[0]
		} else if attune.CodeOf(err) == attune.CodeUnavailable {
			return nil, err
		}
	}
	return places, nil
}

// lockQueues asks for the locks that a submission needs, in the order that all keep.
func lockQueues(batch *pgx.Batch, all []entry) {
	queues := make([]int32, len(all))
	for i, e := range all {
		queues[i] = e.queue
	}
	slices.Sort(queues)
	batch.Queue(`select pg_advisory_xact_lock_shared($1, 0), pg_advisory_xact_lock($2, id) from unnest($3::integer[]) id`,
		lockSubmission, lockQueue, slices.Compact(queues))
}

// insert adds the submissions to a batch. The places are there when the batch has been sent.
func insert(batch *pgx.Batch, all []entry, byPolicy bool) []*place {
	n := len(all)
	queues, installations, keys, parameters := make([]int32, n), make([]string, n), make([]string, n), make([]string, n)
	for i, e := range all {
		queues[i], installations[i], parameters[i] = e.queue, e.action.InstallationID, string(e.parameters)
		keys[i] = strings.Join(e.action.key, "\x1f")
	}
	places := make([]*place, n)
	batch.Queue(enqueueSQL.text, queues, installations, keys, parameters, byPolicy).Query(func(rows pgx.Rows) error {
		var turn int
		var at place
		_, err := pgx.ForEachRow(rows, []any{&turn, &at.ID, &at.Ticket, &at.PackVersion, &at.ImageDigest, &at.CreatedAt, &at.Position,
			&at.MayExpire},
			func() error {
				found := at
				places[turn-1] = &found
				return nil
			})
		return err
	})
	return places
}
