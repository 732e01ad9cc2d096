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

// queue is what both sides can do. The scenarios know nothing else of them, so that both are measured alike.
type queue interface {
	// reset removes all jobs. Nobody works meanwhile.
	reset(context.Context) error
	// enqueue adds many jobs at once, as fast as the side can.
	enqueue(ctx context.Context, jobs int) error
	// work begins to run jobs and returns when it has begun; each job that runs calls ran, and does nothing else.
	work(ctx context.Context, ran func()) (stop func() error, err error)
	// submit adds one job and returns when it is durable. wait returns when its completion is recorded in the database.
	submit(context.Context) (wait func(context.Context) error, err error)
	// connections is the pool of the side.
	connections() *pgxpool.Pool
	// statements are about the side's tables.
	statements() statements
}

// statements are the questions that the harness asks.
type statements struct {
	// analyze brings the planner's statistics up to date.
	analyze string
	// unfinished tells whether a job is left whose completion is not recorded; completed counts those whose is.
	unfinished, completed string
}

// payload is what every job carries, on both sides.
type payload struct {
	N int `json:"n"`
}

// countdown is done when it has been called n times.
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

// recordPoll is how often the database is asked whether all completions are recorded, once all jobs have run.
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

// checkCompleted fails a run that lost a job or ended it otherwise.
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

// inParallel calls fn in so many goroutines and returns their errors.
func inParallel(n int, fn func() error) error {
	var group sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		group.Go(func() { errs[i] = fn() })
	}
	group.Wait()
	return errors.Join(errs...)
}
