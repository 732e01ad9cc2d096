package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"attune/bench/measure"
)

// side makes a run of one of the two that are compared.
type side = func(context.Context, *measure.Clock) error

// inTurn makes a run out of n operations, one after the other, each of which says how long it took.
func inTurn(n int, operation func(context.Context) (time.Duration, error)) side {
	return func(ctx context.Context, clock *measure.Clock) error {
		if err := clock.Start(); err != nil {
			return err
		}
		var times []time.Duration
		for range n {
			took, err := operation(ctx)
			if err != nil {
				return err
			}
			times = append(times, took)
		}
		return clock.StopAt(times)
	}
}

// atOnce makes a run out of n operations that begin at the same time.
func atOnce(n int, operation func(ctx context.Context, i int) error) side {
	return func(ctx context.Context, clock *measure.Clock) error {
		times := make([]time.Duration, n)
		var gathered sync.WaitGroup
		begin := make(chan struct{})
		group, ctx := errgroup.WithContext(ctx)
		gathered.Add(n)
		for i := range n {
			group.Go(func() (err error) {
				gathered.Done()
				<-begin
				times[i], err = timeOf(func() error { return operation(ctx, i) })
				return err
			})
		}
		gathered.Wait()
		err := clock.Start()
		close(begin)
		if err := errors.Join(err, group.Wait()); err != nil {
			return err
		}
		return clock.StopAt(times)
	}
}

// inParallel makes a run out of clients that each do n operations, one after the other.
func inParallel(clients, n int, operation func(ctx context.Context, client int) error) side {
	return func(ctx context.Context, clock *measure.Clock) error {
		if err := clock.Start(); err != nil {
			return err
		}
		group, ctx := errgroup.WithContext(ctx)
		for client := range clients {
			group.Go(func() error {
				for range n {
					if err := operation(ctx, client); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return errors.Join(group.Wait(), clock.Stop(clients*n))
	}
}

// after has something done before each run, outside its time.
func after(prepare func(context.Context) error, run side) side {
	return func(ctx context.Context, clock *measure.Clock) error {
		if err := prepare(ctx); err != nil {
			return err
		}
		return run(ctx, clock)
	}
}

func timeOf(operation func() error) (time.Duration, error) {
	begun := time.Now()
	err := operation()
	return time.Since(begun), err
}
