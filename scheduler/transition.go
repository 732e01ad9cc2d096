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
	awaited atomic.Bool
	entries group[*ending, bool]
}

// ending is a claim with how it ended, or one that begins where Status is empty.
type ending struct {
	*Claim
	Outcome
}

func (e *ending) begins() bool { return e.Status == "" }

// Outcome is how an attempt ends.
type Outcome struct {
	Status   attune.Status
	Reason   attune.Reason
	ExitCode *int
	Result   json.RawMessage
	Failure  *attune.Failure
	Usage    *attune.Usage
	Outputs  []attune.OutputFile
}

func newBook(q *Queue, worker string) *book {
	b := &book{queue: q, worker: worker}
	b.entries = group[*ending, bool]{flush: b.flush, size: func(e *ending) int { return len(e.Result) }}
	b.awaited.Store(true)
	return b
}

// start moves an execution from scheduled to running; false says that it is not this worker's to start any more. It
// happens before a sandbox is made: what is still scheduled has certainly not begun. It may be repeated when the answer was
// lost, for a claim is begun once.
func (b *book) start(ctx context.Context, c Claim) (bool, error) {
	return b.entries.do(ctx, &ending{Claim: &c})
}

// finish moves an execution to its terminal state, which frees its slot; the sandbox must be gone. Asked to stop, an
// execution ends as cancelled whatever its action made of it, unless its outcome cannot be known.
//
// A claim that is not in the expected state is left alone: somebody else has ended it, and the first end counts.
func (b *book) finish(ctx context.Context, c Claim, o Outcome) error {
	_, err := b.entries.do(ctx, &ending{&c, o})
	return err
}

// finishLater is finish for those who do not wait for it.
func (b *book) finishLater(e *ending, done func(error)) {
	b.entries.post(context.Background(), e, func(_ bool, err error) { done(err) })
}

// flush commits starts and ends in one transaction; the answer to a start is whether the claim is still the worker's.
func (b *book) flush(ctx context.Context, all []*ending) ([]bool, error) {
	ours := make([]bool, len(all))
	var ids []string
	batch := &pgx.Batch{}
	b.queueStarts(batch, all, ours)
	err := queueEnds(batch, b.worker, all, &ids)
	if err == nil {
		err = storage.Translate("record starts and ends", b.queue.db.Pool().SendBatch(ctx, batch).Close())
	}
	if err != nil && len(all) > 1 && attune.CodeOf(err) != attune.CodeUnavailable {
		// What one action left may be why; the others must not wait for it.
		return b.flushSingly(ctx, all)
	}
	if err == nil && len(ids) > 0 {
		b.queue.waiters.tell(ids...)
		if b.awaited.Load() {
			b.queue.signal()
		}
	}
	return ours, err
}

// flushSingly fails for all when it fails for one; starts and ends may be repeated.
func (b *book) flushSingly(ctx context.Context, all []*ending) ([]bool, error) {
	ours := make([]bool, len(all))
	var failed []error
	for i := range all {
		one, err := b.flush(ctx, all[i:i+1])
		if err != nil {
			failed = append(failed, err)
			continue
		}
		ours[i] = one[0]
	}
	return ours, errors.Join(failed...)
}

// queueStarts adds the starts to a batch, whose answers go to ours.
func (b *book) queueStarts(batch *pgx.Batch, all []*ending, ours []bool) {
	var slots []int
	var numbers []int64
	index := make(map[int64]int)
	for i, e := range all {
		if e.begins() {
			slots, numbers = append(slots, e.Slot), append(numbers, e.Number)
			index[e.Number] = i
		}
	}
	if len(slots) == 0 {
		return
	}
	batch.Queue(startSQL, b.worker, slots, numbers).Query(func(rows pgx.Rows) error {
		var number int64
		_, err := pgx.ForEachRow(rows, []any{&number}, func() error {
			ours[index[number]] = true
			return nil
		})
		return err
	})
}

// queueEnds adds the ends to a batch; the ids of those that were the worker's to end go to ids.
func queueEnds(batch *pgx.Batch, worker string, all []*ending, ids *[]string) error {
	n := len(all)
	slots, numbers := make([]int, 0, n), make([]int64, 0, n)
	statuses, reasons := make([]string, 0, n), make([]string, 0, n)
	var codes sparse[int]
	var results, failures, usages, outputs sparse[string]
	index := make(map[int64]string, n)
	for _, e := range all {
		if e.begins() {
			continue
		}
		failure, usage, files, err := e.documents()
		if err != nil {
			return err
		}
		var result *string
		if len(e.Result) > 0 {
			text := string(e.Result)
			result = &text
		}
		at := len(slots)
		codes.put(at, e.ExitCode)
		results.put(at, result)
		failures.put(at, failure)
		usages.put(at, usage)
		outputs.put(at, files)
		index[e.Number] = e.ID
		slots, numbers = append(slots, e.Slot), append(numbers, e.Number)
		statuses, reasons = append(statuses, string(e.Status)), append(reasons, string(e.Reason))
	}
	if len(slots) == 0 {
		return nil
	}
	batch.Queue(finishSQL, worker, slots, numbers, statuses, reasons, codes, results, failures, usages, outputs).Query(func(rows pgx.Rows) error {
		*ids = make([]string, 0, len(index))
		var number int64
		_, err := pgx.ForEachRow(rows, []any{&number}, func() error {
			*ids = append(*ids, index[number])
			return nil
		})
		return err
	})
	return nil
}

// sparse is a column of which most rows may have nothing: the database takes the rest of an array that is too short for null.
type sparse[T any] []*T

func (s *sparse[T]) put(at int, value *T) {
	if value == nil {
		return
	}
	*s = append(*s, make([]*T, at-len(*s))...)
	*s = append(*s, value)
}

// documents are those parts of an outcome that are kept as JSON, each nil where there is nothing of it.
func (o Outcome) documents() (failure, usage, outputs *string, err error) {
	text := func(there bool, v any) *string {
		if !there || err != nil {
			return nil
		}
		var b []byte
		b, err = json.Marshal(v)
		s := string(b)
		return &s
	}
	failure, usage, outputs = text(o.Failure != nil, o.Failure), text(o.Usage != nil, o.Usage), text(len(o.Outputs) > 0, o.Outputs)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("encode outcome: %w", err)
	}
	return failure, usage, outputs, nil
}

// delay ends an attempt that is to be tried again after a pause. False says that it is not: somebody has asked for its end,
// or it is not the worker's any more.
func (q *Queue) delay(ctx context.Context, worker string, c Claim, o Outcome, seconds float64) (bool, error) {
	failure, usage, outputs, err := o.documents()
	if err != nil {
		return false, err
	}
	tag, err := q.db.Pool().Exec(ctx, delaySQL, worker, c.Slot, c.Number, o.Status, o.Reason, o.ExitCode, failure, seconds, usage, outputs)
	if err != nil {
		return false, storage.Translate("delay execution", err)
	}
	q.signalLook()
	return tag.RowsAffected() == 1, nil
}

// canceling lists the claims of a worker's life that it has been asked to stop.
func (q *Queue) canceling(ctx context.Context, life workerLife) ([]Claim, error) {
	rows, err := q.db.Pool().Query(ctx, `select number, claim, id::text from slots where worker = $1 and status = 'canceling'
		and exists (select from workers where name = $1 and life = $2)`, life.Name, life.ID)
	if err != nil {
		return nil, storage.Translate("list executions to cancel", err)
	}
	claims, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Claim, err error) {
		err = row.Scan(&c.Slot, &c.Number, &c.ID)
		return c, err
	})
	return claims, storage.Translate("list executions to cancel", err)
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
