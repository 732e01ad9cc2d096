package scheduler

import (
	"context"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// handBack returns to the queue what a worker has been given and has not begun. The ticket stays, and with it the place.
func (q *Queue) handBack(ctx context.Context, worker string) error {
	return q.returnToLine(ctx, &worker, []int64{}, false)
}

// handBackUnheard does so after an admission whose answer was lost, but for the claims that the worker has in hand. Only the
// process that runs under the worker's name may call it: what counts as begun and is not in its hand was not begun.
func (q *Queue) handBackUnheard(ctx context.Context, worker string, known []int64) error {
	if known == nil {
		known = []int64{}
	}
	return q.returnToLine(ctx, &worker, known, true)
}

// handBackOfLost does the same for all workers whose lease has run out. It is safe although they may live: a claim that was
// handed back cannot be started.
func (q *Queue) handBackOfLost(ctx context.Context) error {
	return q.returnToLine(ctx, nil, nil, false)
}

func (q *Queue) returnToLine(ctx context.Context, worker *string, known []int64, unheard bool) error {
	var returned int64
	err := q.admission(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, handBackSQL, worker, known, unheard)
		returned = tag.RowsAffected()
		return err
	})
	if err != nil {
		return storage.Translate("hand back executions", err)
	}
	if returned > 0 {
		q.signal()
	}
	return nil
}

// Forget ends what a worker held that will not return: what had not begun goes back to its place; what had begun is
// abandoned, and tried again where its action says so. Only a person can know that the host is gone, and with it what ran
// there. CodeConflict: its lease holds; CodeNotFound.
func (q *Queue) Forget(ctx context.Context, worker string) error {
	if err := q.expectLost(ctx, worker); err != nil {
		return err
	}
	if err := q.handBack(ctx, worker); err != nil {
		return err
	}
	begun, err := q.lostBy(ctx, worker)
	if err != nil {
		return err
	}
	if err := q.abandon(ctx, worker, begun); err != nil {
		return err
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
	return storage.Translate("forget worker", err)
}

func (q *Queue) expectLost(ctx context.Context, worker string) error {
	var lost bool
	err := q.db.Pool().QueryRow(ctx, `select not (`+storage.Alive+`) from workers where name = $1`, worker).Scan(&lost)
	if err == nil && !lost {
		return attune.Errorf(attune.CodeConflict, "worker %q is alive; stop it first, or wait until its lease has run out", worker)
	}
	return storage.Translate("look at worker", err, attune.Errorf(attune.CodeNotFound, "there is no worker %q", worker))
}

// lost is a claim that a worker had begun, with its action's retries.
type lost struct {
	Claim
	retry *attune.Retry
}

var abandoned = Outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonWorkerLost}

// lostBy lists what a worker had begun.
func (q *Queue) lostBy(ctx context.Context, worker string) ([]lost, error) {
	begun, err := q.begun(ctx, worker)
	if err != nil {
		return nil, err
	}
	all := make([]lost, len(begun))
	for i, c := range begun {
		action, err := q.db.Installations.Action(ctx, c.InstallationID, c.Action)
		if err != nil && attune.CodeOf(err) != attune.CodeNotFound {
			return nil, err
		}
		all[i] = lost{c, action.Retry}
	}
	return all, nil
}

// abandon ends what a worker had begun. The sandboxes must be gone, or be known to be on a host that is.
func (q *Queue) abandon(ctx context.Context, worker string, all []lost) error {
	b := newBook(q, worker)
	for _, l := range all {
		if err := q.settle(ctx, b, l.Claim, abandoned, l.retry); err != nil {
			return err
		}
	}
	return nil
}

// settle records an outcome: a pause before the next attempt where there is to be one, else the end.
func (q *Queue) settle(ctx context.Context, b *book, c Claim, o Outcome, retry *attune.Retry) error {
	if retries(retry, c.Attempt, o) {
		delayed, err := q.delay(ctx, b.worker, c, o, backoff(retry, c.Attempt))
		if err != nil || delayed {
			return err
		}
	}
	return b.finish(ctx, c, o)
}
