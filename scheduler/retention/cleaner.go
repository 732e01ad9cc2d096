package retention

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"attune/scheduler"
	"attune/storage"
	"attune/storage/logs"
)

// Cleaner makes the partitions of the days to come and drops old days with their logs. Days are those of submission,
// in UTC by the database's clock.
type Cleaner struct {
	DB   *storage.DB
	Logs *logs.Store
	// Age is how long an execution is kept; it goes with the whole of its day. 0 sets no bound.
	Age time.Duration
	// Count is the number of executions that are kept at least: older days go, whatever Age says. 0 sets no bound.
	Count int
	Log   *slog.Logger

	// reported is the error that the log has already.
	reported string
}

const (
	interval = time.Hour
	// jitter keeps several servers from asking at the same instant.
	jitter = interval / 10
	// daysAhead is how many days have their partitions before they come: a server may be away for a weekend.
	daysAhead = 3
)

// Run cleans up at the start and every hour until ctx ends. Any number of processes may run it; one at a time works.
// When PostgreSQL or S3 do not answer, it tries again the next time.
func (c *Cleaner) Run(ctx context.Context) {
	for {
		c.report(ctx, c.clean(ctx))
		select {
		case <-time.After(interval - rand.N(jitter)): //nolint:gosec // guessing it is worth nothing
		case <-ctx.Done():
			return
		}
	}
}

// report logs an error once, and its end.
func (c *Cleaner) report(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	switch text := errorText(err); {
	case text == c.reported:
	case err != nil:
		c.Log.Error("history was not cleaned up; this is repeated within the hour", "error", err)
		c.reported = text
	default:
		c.Log.Info("history was cleaned up again")
		c.reported = ""
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (c *Cleaner) history() history { return history{c.DB} }

func (c *Cleaner) clean(ctx context.Context) error {
	h := c.history()
	return h.alone(ctx, func() error {
		today, now, err := h.today(ctx)
		if err != nil {
			return err
		}
		var failed []error
		for n := range daysAhead + 1 {
			failed = append(failed, h.prepare(ctx, today.AddDate(0, 0, n)))
		}
		failed = append(failed, h.forgetKeys(ctx, scheduler.IdempotencyPeriod), c.drop(ctx, today, now))
		return errors.Join(failed...)
	})
}

// drop removes what was submitted before the first day that stays. Objects go first: after a crash the partitions still
// say that there is something to do, and no object is left without a row that leads to it.
func (c *Cleaner) drop(ctx context.Context, today, now time.Time) error {
	h := c.history()
	days, err := h.days(ctx)
	if err != nil {
		return err
	}
	first, err := c.firstKept(ctx, days, today, now)
	if err != nil || first.IsZero() {
		return err
	}
	for len(days) > 0 && !days[len(days)-1].Before(first) {
		days = days[:len(days)-1]
	}
	orphans, err := h.hasOrphans(ctx, first)
	if err != nil || len(days) == 0 && !orphans {
		return err
	}
	kept, err := h.kept(ctx, first)
	if err != nil {
		return err
	}
	stays := make(map[string]bool, len(kept))
	for _, id := range kept {
		stays[id] = true
	}
	objects, err := c.Logs.RemoveDays(ctx, first, func(id string) bool { return stays[id] })
	if err != nil {
		return err
	}
	for _, day := range days {
		if err := h.drop(ctx, day, kept); err != nil {
			return err
		}
	}
	c.Log.Info("dropped old history", "before", first.Format(time.DateOnly), "days", len(days), "objects", objects)
	return h.removeOrphans(ctx, first)
}

// firstKept returns the first day that stays; zero when all do. Today always stays.
func (c *Cleaner) firstKept(ctx context.Context, days []time.Time, today, now time.Time) (first time.Time, err error) {
	if c.Age > 0 {
		first = now.Add(-c.Age).Truncate(24 * time.Hour)
	}
	if c.Count <= 0 {
		return first, nil
	}
	left := c.Count
	for i := len(days) - 1; i >= 0 && !days[i].Before(first); i-- {
		n, err := c.history().count(ctx, days[i], left)
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
