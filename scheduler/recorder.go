package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// recorder writes down what becomes of a worker's claims, many with one commit.
type recorder struct {
	queue   *Queue
	worker  string
	records batcher[record, struct{}]
}

// record is what became of a claim: its outcome, or that its code has begun where Status is empty.
type record struct {
	*Claim
	Outcome
	// begun is when its code began, zero when it did not.
	begun time.Time
}

func newRecorder(q *Queue, worker string) *recorder {
	r := &recorder{queue: q, worker: worker}
	r.records = batcher[record, struct{}]{flush: r.flush, size: func(r record) int { return len(r.Result) }}
	return r
}

// start says that the code of a claim has begun, for people to see; nothing relies on it. It may be repeated.
func (r *recorder) start(ctx context.Context, c *Claim, begun time.Time) error {
	_, err := r.records.do(ctx, record{Claim: c, begun: begun})
	return err
}

// settle ends the attempt of a claim, which frees its slot; its sandbox must be gone. The execution pauses before its
// next attempt where there is to be one, and is over otherwise. Asked to stop, it ends as cancelled whatever its
// action made of it, unless its outcome cannot be known.
//
// A claim that is not the worker's any more is left alone: another has ended it, and the first end counts. So
// it may be repeated.
func (r *recorder) settle(ctx context.Context, c *Claim, o Outcome, begun time.Time) error {
	to := record{c, o, begun}
	if o.RetryAfter != nil {
		delayed, err := r.queue.delay(ctx, r.worker, to)
		if err != nil || delayed {
			return err
		}
	}
	_, err := r.records.do(ctx, to)
	return err
}

// flush commits starts and outcomes in one transaction.
func (r *recorder) flush(ctx context.Context, all []record) ([]struct{}, error) {
	var starts, ends columns
	var ended []string
	var err error
	for _, to := range all {
		if to.Status == "" {
			starts.add(to)
		} else {
			err = errors.Join(err, ends.addOutcome(to))
		}
	}
	if err == nil {
		batch := &pgx.Batch{}
		if starts.len() > 0 {
			startSQL.queue(batch, starts.args(r.worker))
		}
		if ends.len() > 0 {
			ends.queueFinish(batch, r.worker, &ended)
		}
		err = storage.Translate("record starts and outcomes", r.queue.db.Pool().SendBatch(ctx, batch).Close())
	}
	if err != nil && len(all) > 1 && attune.CodeOf(err) != attune.CodeUnavailable {
		// What one action left may be why; the others must not wait for it.
		return r.flushSingly(ctx, all)
	}
	if err == nil {
		r.queue.waiters.tell(ended...)
	}
	return make([]struct{}, len(all)), err
}

// flushSingly fails for all when it fails for one; starts and outcomes may be repeated.
func (r *recorder) flushSingly(ctx context.Context, all []record) ([]struct{}, error) {
	var failed []error
	for i := range all {
		if _, err := r.flush(ctx, all[i:i+1]); err != nil {
			failed = append(failed, err)
		}
	}
	return make([]struct{}, len(all)), errors.Join(failed...)
}

// delay ends an attempt that is followed by another. False says that it is not: its end was asked for, or it is not the
// worker's any more.
func (q *Queue) delay(ctx context.Context, worker string, to record) (bool, error) {
	args, err := to.delayArgs(worker)
	if err != nil {
		return false, err
	}
	tag, err := q.db.Pool().Exec(ctx, delaySQL.text, args...)
	if err != nil {
		return false, storage.Translate("delay execution", err)
	}
	q.signalDeadline()
	return tag.RowsAffected() == 1, nil
}

func (r record) delayArgs(worker string) ([]any, error) {
	failure, usage, outputs, err := r.documents()
	return delaySQL.args(pgx.NamedArgs{
		"worker": worker, "slot": r.Slot, "claim": r.Number, "age": r.age(), "pause": r.RetryAfter.Seconds(),
		"status": r.Status, "reason": r.Reason, "code": r.ExitCode, "failure": failure, "usage": usage, "outputs": outputs,
	}), err
}

// age is how many seconds ago the code began, nil when it did not: the database has a clock of its own.
func (r record) age() *float64 {
	if r.begun.IsZero() {
		return nil
	}
	age := max(0, time.Since(r.begun).Seconds())
	return &age
}
