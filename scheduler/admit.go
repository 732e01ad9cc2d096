package scheduler

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"

	"github.com/jackc/pgx/v5"

	"attune/storage"
)

// maxAdmission is the most that one admission gives: it holds the admission lock meanwhile.
const maxAdmission = 1000

// admitted is what one admission gave.
type admitted struct {
	// claims are in the order of their tickets.
	claims []Claim
	// left is the number still waiting.
	left int
	// layered reports whether a limit stands above single queues.
	layered bool
}

// admit gives up to n slots to a worker: of every queue with room its head, and of all those heads the oldest tickets
// first.
//
// There are two statements for it. The plain one costs less, and gives nothing where a limit stands above single
// queues: so it is used as long as no such limit is known, and where one is found the other follows at once.
func (q *Queue) admit(ctx context.Context, life workerLife, n int) (admitted, error) {
	n = min(n, maxAdmission)
	sql, plain := admitSQL, !q.layered.Load()
	if plain {
		sql = admitPlainSQL
	}
	a, err := q.admitWith(ctx, sql, life, n)
	if err == nil && plain && a.layered {
		a, err = q.admitWith(ctx, admitSQL, life, n)
	}
	if err == nil {
		q.layered.Store(a.layered)
	}
	return a, err
}

func (q *Queue) admitWith(ctx context.Context, sql sqlText, life workerLife, n int) (a admitted, err error) {
	// Each statement of a batch has a snapshot of its own, younger than the lock.
	batch := admissionBatch()
	sql.queue(batch, pgx.NamedArgs{
		"worker": life.Name, "life": life.ID, "most": n,
		"number": rand.Int64N(maxNumber), //nolint:gosec // it must be another one each time, and may be guessed
	}).Query(func(rows pgx.Rows) (err error) {
		a.claims, err = scanClaims(rows, n)
		return err
	})
	batch.Queue(leftSQL.text).QueryRow(func(row pgx.Row) error { return row.Scan(&a.left, &a.layered) })
	if err := q.db.Pool().SendBatch(ctx, batch).Close(); err != nil {
		return admitted{}, storage.Translate("admit executions", err)
	}
	slices.SortFunc(a.claims, func(x, y Claim) int { return cmp.Compare(x.ticket, y.ticket) })
	return a, nil
}
