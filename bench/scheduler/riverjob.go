package main

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// Kind makes payload the arguments of a River job.
func (payload) Kind() string { return "noop" }

// riverWorker runs jobs that do nothing.
type riverWorker struct {
	river.WorkerDefaults[payload]
	queue *riverQueue
	ran   func()
}

// Work runs the job.
func (w *riverWorker) Work(ctx context.Context, job *river.Job[payload]) error {
	if w.queue.completeInJob {
		err := pgx.BeginFunc(ctx, w.queue.db, func(tx pgx.Tx) error {
			_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
			return err
		})
		if err != nil {
			return err
		}
		w.queue.complete(job.ID)
	}
	w.ran()
	return nil
}

func (q *riverQueue) submit(ctx context.Context) (func(context.Context) error, error) {
	if !q.completeInJob {
		q.subscription.Do(q.subscribe)
	}
	inserted, err := q.client.Insert(ctx, payload{N: 1}, nil)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return q.await(ctx, inserted.Job.ID) }, nil
}

// complete is called for every completion that is recorded in the database.
func (q *riverQueue) complete(id int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if waiting, found := q.waiting[id]; found {
		close(waiting)
		delete(q.waiting, id)
		return
	}
	q.recorded[id] = true
}

func (q *riverQueue) await(ctx context.Context, id int64) error {
	q.mu.Lock()
	if q.recorded[id] {
		delete(q.recorded, id)
		q.mu.Unlock()
		return nil
	}
	done := make(chan struct{})
	q.waiting[id] = done
	q.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
