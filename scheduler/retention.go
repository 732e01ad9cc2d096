package scheduler

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"attune/storage"
	"attune/storage/logs"
)

// Retention keeps history lean: it makes the partitions of the days to come and drops old days with their logs. Days are
// those of submission, in UTC by the database's clock. What is not over stays, however old it is.
type Retention struct {
	DB   *storage.DB
	Logs *logs.Store
	// Age is how long an execution is kept; it goes with the whole of its day. 0 sets no bound.
	Age time.Duration
	// Count is how many executions are kept at least: older days go, whatever Age says. 0 sets no bound.
	Count int
	Log   *slog.Logger

	// told is the trouble that the log has already.
	told string
}

const (
	retentionInterval = time.Hour
	// retentionJitter keeps several servers from asking at the same instant.
	retentionJitter = retentionInterval / 10
	// daysAhead is how many days have their partitions before they come: a server may be away for a weekend.
	daysAhead = 3
)

// Run cleans up at the start and every hour until ctx ends. Any number of processes may run it; one at a time works. Where
// PostgreSQL or S3 do not answer, it tries again the next time.
func (r *Retention) Run(ctx context.Context) {
	for {
		r.tell(ctx, r.clean(ctx))
		jitter := rand.N(retentionJitter) //nolint:gosec // nobody gains from guessing it
		if !pause(ctx, retentionInterval-jitter) {
			return
		}
	}
}

// tell logs a trouble once, and its end.
func (r *Retention) tell(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	switch text := errorText(err); {
	case text == r.told:
	case err != nil:
		r.Log.Error("history was not cleaned up; this is repeated within the hour", "error", err)
		r.told = text
	default:
		r.Log.Info("history was cleaned up again")
		r.told = ""
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (r *Retention) clean(ctx context.Context) error {
	return r.DB.History.Alone(ctx, func() error {
		today, now, err := r.DB.History.Today(ctx)
		if err != nil {
			return err
		}
		var failed []error
		for n := range daysAhead + 1 {
			failed = append(failed, r.DB.History.Prepare(ctx, today.AddDate(0, 0, n)))
		}
		failed = append(failed, r.DB.History.ForgetKeys(ctx, idempotencyHours*time.Hour), r.drop(ctx, today, now))
		return errors.Join(failed...)
	})
}

// drop removes what was submitted before the first day that stays. Objects go first: after a crash the partitions still
// say that there is something to do, and nothing is left behind that nobody would look for.
func (r *Retention) drop(ctx context.Context, today, now time.Time) error {
	history := r.DB.History
	days, err := history.Days(ctx)
	if err != nil {
		return err
	}
	first, err := r.firstKept(ctx, days, today, now)
	if err != nil || first.IsZero() {
		return err
	}
	for len(days) > 0 && !days[len(days)-1].Before(first) {
		days = days[:len(days)-1]
	}
	stray, err := history.HasStray(ctx, first)
	if err != nil || len(days) == 0 && !stray {
		return err
	}
	kept, err := history.Kept(ctx, first)
	if err != nil {
		return err
	}
	stays := make(map[string]bool, len(kept))
	for _, id := range kept {
		stays[id] = true
	}
	objects, err := r.Logs.RemoveDays(ctx, first, func(id string) bool { return stays[id] })
	if err != nil {
		return err
	}
	for _, day := range days {
		if err := history.Drop(ctx, day, kept); err != nil {
			return err
		}
	}
	r.Log.Info("dropped old history", "before", first.Format(time.DateOnly), "days", len(days), "objects", objects)
	return history.RemoveStray(ctx, first)
}

// firstKept is the first day that stays; zero when all do. Today always stays.
func (r *Retention) firstKept(ctx context.Context, days []time.Time, today, now time.Time) (first time.Time, err error) {
	if r.Age > 0 {
		first = now.Add(-r.Age).Truncate(24 * time.Hour)
	}
	if r.Count <= 0 {
		return first, nil
	}
	left := r.Count
	for i := len(days) - 1; i >= 0 && !days[i].Before(first); i-- {
		n, err := r.DB.History.Count(ctx, days[i], left)
		if err != nil {
			return first, err
		}
		if left -= n; left > 0 {
			continue
		}
		if days[i].After(today) {
			return today, nil
		}
		return days[i], nil
	}
	return first, nil
}
