package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	// settleTime is more than an interpreter needs until it waits, once its sandbox has been made.
	settleTime = 300 * time.Millisecond
	// fillTime is more than it takes to make as many sandboxes as a line needs.
	fillTime = 10 * time.Minute
	// progressTime is the time between two words about how far it is.
	progressTime = 5 * time.Second
)

// serve has `attune up` run with the flags.
func (b *bench) serve(ctx context.Context, flags []string) error {
	restarted, err := b.own.serve(ctx, flags)
	if restarted {
		b.ready = make(map[string]int)
	}
	return err
}

// fill has the pool keep n sandboxes of an action, which says so itself, and waits for them.
func (b *bench) fill(ctx context.Context, action string, n int) error {
	if b.ready[action] == n {
		return nil
	}
	if _, err := b.own.run(ctx, action); err != nil {
		return err
	}
	b.ready[action] = n
	return b.settle(ctx)
}

// settle waits until as many sandboxes wait as are kept.
func (b *bench) settle(ctx context.Context) error {
	wanted := 0
	for _, n := range b.ready {
		wanted += n
	}
	ctx, cancel := context.WithTimeoutCause(ctx, fillTime, errors.New("the pool is not full"))
	defer cancel()
	report := time.Now().Add(progressTime)
	for {
		n, err := b.own.metric(ctx, "attune_pool_sandboxes")
		if err != nil {
			return err
		}
		if int(n) >= wanted {
			return pause(ctx, settleTime)
		}
		if time.Now().After(report) {
			fmt.Fprintf(os.Stderr, "  %d of %d sandboxes wait\n", int(n), wanted)
			report = time.Now().Add(progressTime)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%w: %d of %d sandboxes wait", err, int(n), wanted)
		}
	}
}

// hits counts the sandboxes that the pool gives away while something is done, and wants n of them.
func (b *bench) hits(ctx context.Context, n int, do func() error) error {
	before, err := b.own.metric(ctx, "attune_pool_hits_total")
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	after, err := b.own.metric(ctx, "attune_pool_hits_total")
	if given := int(after - before); err == nil && given != n {
		err = fmt.Errorf("the pool had a sandbox for %d of %d executions", given, n)
	}
	return err
}
