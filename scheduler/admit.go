package scheduler

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"attune/storage"
)

// Claim is an execution that a worker has a slot for.
type Claim struct {
	// Slot and Number identify this one taking of a slot: every later write names both, so that whoever lost the slot
	// changes nothing. Number is drawn anew each time.
	Slot   int
	Number int64

	ID             string
	Attempt        int
	Action         string
	Pack           string
	PackVersion    string
	InstallationID string
	ImageDigest    string
	Parameters     json.RawMessage
	CreatedAt      time.Time

	ticket int64
}

// admission is what one look at the queues gave.
type admission struct {
	claims []Claim
	// due is when time alone may let somebody go; zero when nothing of the kind waits.
	due time.Time
	// canceling are the numbers of the worker's claims that are to be stopped.
	canceling []int64
	// left tells that somebody still waits, so that a freed slot is of use.
	left bool
}

// admit gives up to n slots to a worker: of every queue with room its head, and of all those heads the oldest tickets first.
// It is committed without waiting for the disk: what a crash of the database takes back was not begun, since the start,
// which is durable, comes later in the same log.
func (q *Queue) admit(ctx context.Context, life storage.Life, n int) (admission, error) {
	var a admission
	batch := &pgx.Batch{}
	batch.Queue(`begin isolation level read committed`)
	// Tables that fill and empty within seconds mislead the planner; one plan that uses the indexes suits all of their sizes.
	batch.Queue(`select set_config('synchronous_commit', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)`)
	batch.Queue(`select pg_advisory_xact_lock($1, 0)`, storage.LockAdmission)
	batch.Queue(admitSQL, life.Name, life.ID, n).Query(func(rows pgx.Rows) (err error) {
		a.claims, err = pgx.CollectRows(rows, scanClaim)
		return err
	})
	a.lookAround(batch, life.Name)
	batch.Queue(`commit`)
	if err := q.db.Pool().SendBatch(ctx, batch).Close(); err != nil {
		return admission{}, storage.Translate("admit executions", err)
	}
	slices.SortFunc(a.claims, func(x, y Claim) int { return int(x.ticket - y.ticket) })
	return a, nil
}

// look is an admission that gives nothing.
func (q *Queue) look(ctx context.Context, worker string) (admission, error) {
	var a admission
	batch := &pgx.Batch{}
	a.lookAround(batch, worker)
	if err := q.db.Pool().SendBatch(ctx, batch).Close(); err != nil {
		return admission{}, storage.Translate("look at the queues", err)
	}
	return a, nil
}

// lookAround asks for everything that a worker must know but its claims.
func (a *admission) lookAround(batch *pgx.Batch, worker string) {
	batch.Queue(dueSQL).QueryRow(func(row pgx.Row) error {
		var left *float64
		if err := row.Scan(&left, &a.left); err != nil || left == nil {
			return err
		}
		a.due = time.Now().Add(seconds(*left))
		return nil
	})
	batch.Queue(`select claim from slots where worker = $1 and status = 'canceling'`, worker).Query(func(rows pgx.Rows) (err error) {
		a.canceling, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
}

func scanClaim(row pgx.CollectableRow) (c Claim, err error) {
	err = row.Scan(&c.Slot, &c.Number, &c.ticket, &c.ID, &c.Attempt, &c.Action, &c.Pack, &c.PackVersion, &c.InstallationID,
		&c.ImageDigest, &c.Parameters, &c.CreatedAt)
	return c, err
}
