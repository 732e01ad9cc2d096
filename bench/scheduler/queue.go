package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// queue is one side. The scenarios use nothing else, so that both sides are measured alike.
type queue interface {
	// reset removes all jobs. No worker may run meanwhile.
	reset(context.Context) error
	// enqueue adds many jobs at once, as fast as the side can.
	enqueue(ctx context.Context, jobs int) error
	// work starts the workers and returns when they run; each job calls ran and does nothing else.
	work(ctx context.Context, ran func()) (stop func() error, err error)
	// submit adds one job and returns when it is durable. wait returns when its completion is recorded in the database.
	submit(context.Context) (wait func(context.Context) error, err error)
	// connections is the side's connection pool.
	connections() *pgxpool.Pool
	// statements are those for the side's tables.
	statements() statements
}

// statements are the SQL statements of the harness.
type statements struct {
	// analyze brings the planner's statistics up to date.
	analyze string
	// unfinished reports whether the completion of a job is not recorded; completed counts the recorded ones.
	unfinished, completed string
}

// payload is the argument of every job, on both sides.
type payload struct {
	N int `json:"n"`
}

// countdown closes done when ran has been called n times.
type countdown struct {
	left atomic.Int64
	done chan struct{}
}

func newCountdown(n int) *countdown {
	c := &countdown{done: make(chan struct{})}
	c.left.Store(int64(n))
	return c
}

func (c *countdown) ran() {
	if c.left.Add(-1) == 0 {
		close(c.done)
	}
}

// recordPoll is the pause between two looks for completions that are not recorded, once all jobs have run.
const recordPoll = time.Millisecond

// awaitRecorded returns when all jobs have run and no completion is missing in the database.
func awaitRecorded(ctx context.Context, q queue, c *countdown) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
	}
	for {
		var unfinished bool
		err := q.connections().QueryRow(ctx, q.statements().unfinished).Scan(&unfinished)
		if err != nil || !unfinished {
			return err
		}
		time.Sleep(recordPoll)
	}
}

// checkCompleted fails a run in which a job was lost or did not complete.
func checkCompleted(ctx context.Context, q queue, want int) error {
	var got int
	if err := q.connections().QueryRow(ctx, q.statements().completed).Scan(&got); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%d jobs are completed, want %d", got, want)
	}
	return nil
}

// inParallel calls fn in n goroutines and returns their errors.
func inParallel(n int, fn func() error) error {
	var group sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		group.Go(func() { errs[i] = fn() })
	}
	group.Wait()
	return errors.Join(errs...)
}
