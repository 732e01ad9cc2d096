package scheduler

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// Forget ends what a worker held that will not return: it is abandoned, and tried again where its action says so,
// since only the worker's host knows what had begun. Only a person can know that the host is gone, and with it what
// ran there. CodeConflict: its lease holds; CodeNotFound.
func (q *Queue) Forget(ctx context.Context, worker string) error {
	if err := q.checkLost(ctx, worker); err != nil {
		return err
	}
	claims, err := q.claimsOf(ctx, worker)
	if err != nil {
		return err
	}
	recorder := newRecorder(q, worker)
	for i := range claims {
		if err := q.abandon(ctx, recorder, &claims[i]); err != nil {
			return err
		}
	}
	if err := q.db.Installations.ResetLost(ctx, worker); err != nil {
		return err
	}
	err = q.admission(ctx, func(tx pgx.Tx) error {
		// A process that came back meanwhile has renewed the lease, or was given slots before it went again.
		tag, err := tx.Exec(ctx, `delete from workers where name = $1 and not (`+storage.Alive+`)
			and not exists (select from slots where worker = $1 and status <> 'free')`, worker)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `delete from slots where worker = $1 and status = 'free'`, worker)
		return err
	})
	q.signal()
	return storage.Translate("forget worker", err)
}

func (q *Queue) checkLost(ctx context.Context, worker string) error {
	var lost bool
	err := q.db.Pool().QueryRow(ctx, `select not (`+storage.Alive+`) from workers where name = $1`, worker).Scan(&lost)
	if err == nil && !lost {
		return attune.Errorf(attune.CodeConflict, "worker %q is alive; stop it first, or wait until its lease has run out",
			worker)
	}
	return storage.Translate("look at worker", err, attune.Errorf(attune.CodeNotFound, "there is no worker %q", worker))
}

// abandon settles a claim whose worker is gone.
func (q *Queue) abandon(ctx context.Context, r *recorder, c *Claim) error {
	o := Outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonWorkerLost}
	action, err := q.db.Installations.Action(ctx, c.InstallationID, c.Action)
	if err != nil && attune.CodeOf(err) != attune.CodeNotFound {
		return err
	}
	o.RetryAfter = RetryAfter(action.Retry, c.Attempt, o)
	return r.settle(ctx, c, o, time.Time{})
}
