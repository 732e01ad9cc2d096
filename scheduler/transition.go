package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// book records what becomes of a worker's claims, many with one commit.
type book struct {
	queue  *Queue
	worker string
	// awaited says whether somebody waits for a slot, as far as is known.
	awaited  atomic.Bool
	starts   group[Claim, bool]
	finishes group[ending, string]
}

// ending is a claim with how it ended.
type ending struct {
	Claim
	Outcome
}

// Outcome is how an attempt ends.
type Outcome struct {
	Status   attune.Status
	Reason   attune.Reason
	ExitCode *int
	Result   json.RawMessage
	Failure  *attune.Failure
}

func newBook(q *Queue, worker string) *book {
	b := &book{queue: q, worker: worker}
	b.awaited.Store(true)
	b.starts = group[Claim, bool]{flush: b.flushStarts}
	b.finishes = group[ending, string]{flush: b.flushFinishes, size: func(e ending) int { return len(e.Result) }}
	return b
}

// start moves an execution from scheduled to running; false says that it is not this worker's to start any more. It
// happens before a sandbox is made: what is still scheduled has certainly not begun. It may be repeated when the answer was
// lost, for a claim is begun once.
func (b *book) start(ctx context.Context, c Claim) (bool, error) { return b.starts.do(ctx, c) }

func (b *book) flushStarts(ctx context.Context, claims []Claim) ([]bool, error) {
	slots, numbers := make([]int, len(claims)), make([]int64, len(claims))
	index := make(map[int64]int, len(claims))
	for i, c := range claims {
		slots[i], numbers[i], index[c.Number] = c.Slot, c.Number, i
	}
	rows, err := b.queue.db.Pool().Query(ctx, startSQL, b.worker, slots, numbers)
	if err != nil {
		return nil, storage.Translate("start executions", err)
	}
	ours := make([]bool, len(claims))
	var number int64
	_, err = pgx.ForEachRow(rows, []any{&number}, func() error {
		ours[index[number]] = true
		return nil
	})
	return ours, storage.Translate("start executions", err)
}

// finish moves an execution to its terminal state, which frees its slot; the sandbox must be gone. Asked to stop, an
// execution ends as cancelled whatever its action made of it, unless its outcome cannot be known.
//
// A claim that is not in the expected state is left alone: somebody else has ended it, and the first end counts.
func (b *book) finish(ctx context.Context, c Claim, o Outcome) error {
	_, err := b.finishes.do(ctx, ending{c, o})
	return err
}

func (b *book) flushFinishes(ctx context.Context, all []ending) ([]string, error) {
	ids, err := finishAll(ctx, b.queue.db.Pool(), b.worker, all)
	if err != nil && len(all) > 1 && attune.CodeOf(err) != attune.CodeUnavailable {
		// What one action left may be why; the others' ends must not wait for it. Its own caller finds out alone.
		return make([]string, len(all)), b.finishSingly(ctx, all)
	}
	if err == nil {
		b.queue.waiters.tell(ids...)
		if b.awaited.Load() {
			b.queue.signal()
		}
	}
	return make([]string, len(all)), err
}

func (b *book) finishSingly(ctx context.Context, all []ending) error {
	var failed []error
	for i := range all {
		if _, err := b.flushFinishes(ctx, all[i:i+1]); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// finishAll ends claims of a worker in one statement and returns the ids of those that were its to end.
func finishAll(ctx context.Context, db storage.Querier, worker string, all []ending) ([]string, error) {
	n := len(all)
	slots, numbers := make([]int, n), make([]int64, n)
	statuses, reasons, codes := make([]string, n), make([]string, n), make([]*int, n)
	results, failures := make([]*string, n), make([]*string, n)
	for i, e := range all {
		slots[i], numbers[i] = e.Slot, e.Number
		statuses[i], reasons[i], codes[i] = string(e.Status), string(e.Reason), e.ExitCode
		if len(e.Result) > 0 {
			text := string(e.Result)
			results[i] = &text
		}
		failure, err := failureText(e.Failure)
		if err != nil {
			return nil, err
		}
		failures[i] = failure
	}
	rows, err := db.Query(ctx, finishSQL, worker, slots, numbers, statuses, reasons, codes, results, failures)
	if err != nil {
		return nil, storage.Translate("finish executions", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ids, storage.Translate("finish executions", err)
}

func failureText(f *attune.Failure) (*string, error) {
	if f == nil {
		return nil, nil
	}
	text, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode failure: %w", err)
	}
	s := string(text)
	return &s, nil
}

// delay ends an attempt that is to be tried again after a pause. False says that it is not: somebody has asked for its end,
// or it is not the worker's any more.
func (q *Queue) delay(ctx context.Context, worker string, c Claim, o Outcome, seconds float64) (bool, error) {
	failure, err := failureText(o.Failure)
	if err != nil {
		return false, err
	}
	tag, err := q.db.Pool().Exec(ctx, delaySQL, worker, c.Slot, c.Number, o.Status, o.Reason, o.ExitCode, failure, seconds)
	if err != nil {
		return false, storage.Translate("delay execution", err)
	}
	q.signal()
	return tag.RowsAffected() == 1, nil
}

// begun lists what a worker had begun and not ended.
func (q *Queue) begun(ctx context.Context, worker string) ([]Claim, error) {
	rows, err := q.db.Pool().Query(ctx, `select number, claim, ticket, id::text, attempt, action, pack, pack_version, installation_id::text,
			image_digest, parameters, created_at
		from slots where worker = $1 and status in ('running', 'canceling') order by ticket`, worker)
	if err != nil {
		return nil, storage.Translate("list begun executions", err)
	}
	claims, err := pgx.CollectRows(rows, scanClaim)
	return claims, storage.Translate("list begun executions", err)
}
