package scheduler

import (
	"context"
	"errors"
	"time"

	"attune/storage"
)

// maintenanceInterval is the time between two rounds of chores.
const maintenanceInterval = 5 * time.Second

// keepDeadlines does what time alone lets happen, when its time has come, and the chores, until ctx ends. Any number of
// processes may do this on one database.
func (q *Queue) keepDeadlines(ctx context.Context) {
	var maintained time.Time
	healthy := true
	for ctx.Err() == nil {
		next, err := q.nextDeadline(ctx)
		if time.Since(maintained) >= maintenanceInterval {
			maintained = time.Now()
			err = errors.Join(err, q.maintain(ctx))
		}
		if err != nil {
			next = DefaultPollInterval
		}
		passed := q.sleepUntil(ctx, min(next, DefaultPollInterval))
		if passed && next <= DefaultPollInterval {
			err = errors.Join(err, q.passDeadline(ctx))
		}
		if err != nil && healthy && ctx.Err() == nil {
			q.log.Error("what is due in the queues is late", "error", err)
		}
		healthy = err == nil
	}
}

// deadlineResolution keeps a deadline that cannot be passed at once from being tried without end.
const deadlineResolution = 2 * time.Millisecond

// sleepUntil reports whether the time has passed; it returns early when an earlier deadline may have been set.
func (q *Queue) sleepUntil(ctx context.Context, next time.Duration) (passed bool) {
	timer := time.NewTimer(max(next, deadlineResolution))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-q.deadlines:
		return false
	case <-ctx.Done():
		return false
	}
}

// passDeadline takes up executions whose pause is over, ends those that have waited too long, and wakes the workers
// of this process: a rate limit may have opened, too.
func (q *Queue) passDeadline(ctx context.Context) error {
	defer q.wakeWorkers()
	return errors.Join(q.promote(ctx), q.expire(ctx))
}

// nextDeadline returns the time until something is due.
func (q *Queue) nextDeadline(ctx context.Context) (time.Duration, error) {
	var seconds *float64
	if err := q.db.Pool().QueryRow(ctx, deadlineSQL.text).Scan(&seconds); err != nil {
		return DefaultPollInterval, storage.Translate("look for deadlines", err)
	}
	if seconds == nil {
		return DefaultPollInterval, nil
	}
	return time.Duration(*seconds * float64(time.Second)), nil
}
