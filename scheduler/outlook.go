package scheduler

import (
	"context"
	"time"

	"attune/storage"
)

// look tells when time alone may let somebody go, zero when nothing of the kind waits; misjudged says that the plain admission
// was used although a limit stands above single queues, and gave nothing for that.
func (q *Queue) look(ctx context.Context) (due time.Time, misjudged bool, err error) {
	var seconds *float64
	var layered bool
	if err := q.db.Pool().QueryRow(ctx, dueSQL).Scan(&seconds, &layered); err != nil {
		return due, false, storage.Translate("look when executions are due", err)
	}
	if seconds != nil {
		due = time.Now().Add(time.Duration(*seconds * float64(time.Second)))
	}
	known := q.layered.Swap(layered)
	return due, layered && !known, nil
}
