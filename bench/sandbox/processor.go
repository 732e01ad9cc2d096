package main

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"attune/bench/measure"
)

// split is who takes the processor's time, in milliseconds for each execution, run by run.
type split struct {
	parts map[string][]float64
}

// splitOrder is the order in which the parts are reported, behind the name of the line, and what they are for people.
var splitOrder = []struct{ suffix, title string }{
	{"", "all of Attune"},
	{"_attune", "attune"},
	{"_shim", "the shim"},
	{"_containerd", "containerd"},
	{"_postgres", "PostgreSQL"},
	{"_s3", "S3 (MinIO)"},
	{"_start", "the sandbox's own start"},
	{"_action", "the action"},
	{"_runc", "runc in Attune's place"},
}

func (s *split) add(suffix string, used time.Duration, executions int) {
	s.parts[suffix] = append(s.parts[suffix], milliseconds(used)/float64(executions))
}

// figures leaves out the first run, which is slow.
func (s *split) figures() (figures []figure) {
	for _, part := range splitOrder {
		figures = append(figures,
			figure{processorLine + part.suffix, "processor time of a run: " + part.title, s.parts[part.suffix][1:], "ms", nil})
	}
	return figures
}

// countOwn notes the processor time that a run of n executions takes, with all that is made and removed for them. What
// the sandboxes use once they have their document is the action's: what an execution is reported to have used, less
// what a sandbox that waits has used.
func (b *bench) countOwn(s *split, l language, n int, reported *cpuSum, run side) side {
	return func(ctx context.Context, clock *measure.Clock) error {
		begun := time.Now()
		reported.take()
		before, err := b.own.processorTime()
		if err != nil {
			return err
		}
		if err := run(ctx, clock); err != nil {
			return err
		}
		if err := b.rest(ctx); err != nil {
			return err
		}
		after, err := b.own.processorTime()
		if err != nil {
			return err
		}
		idle, err := b.startTime(ctx, l, begun)
		if err != nil {
			return err
		}
		action := reported.take() - time.Duration(n)*idle
		var total time.Duration
		for account, used := range after {
			used -= before[account]
			total += used
			if account == sandboxAccount {
				s.add("_action", action, n)
				used -= action
			}
			s.add(account, used, n)
		}
		s.add("", total, n)
		return nil
	}
}

// startTime is the processor time that a sandbox uses until it waits for its document, of those made since a time.
func (b *bench) startTime(ctx context.Context, l language, since time.Time) (time.Duration, error) {
	found, err := b.peer.waiting(ctx, l.file)
	if err != nil {
		return 0, err
	}
	var used []time.Duration
	for _, c := range found {
		if c.CreatedAt.Before(since) {
			continue
		}
		spec, err := specOf(c)
		if err != nil {
			return 0, err
		}
		cpu, err := groupProcessorTime(spec.Linux.CgroupsPath)
		if err != nil {
			return 0, err
		}
		used = append(used, cpu)
	}
	if len(used) == 0 {
		return 0, fmt.Errorf("no sandbox was made for the next execution of %s", l.file)
	}
	return measure.Median(used), nil
}

// countRunc notes the processor time of a run of n runc.
func countRunc(s *split, n int, run side) side {
	used := func() (time.Duration, error) {
		var u syscall.Rusage
		err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
	}
	return func(ctx context.Context, clock *measure.Clock) error {
		before, err := used()
		if err != nil {
			return err
		}
		if err := run(ctx, clock); err != nil {
			return err
		}
		after, err := used()
		s.add("_runc", after-before, n)
		return err
	}
}

// cpuSum adds up what executions used, and may be told by several clients at a time.
type cpuSum struct {
	mu   sync.Mutex
	used time.Duration
}

func (c *cpuSum) add(used time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used += used
}

// take returns the sum and begins a new one.
func (c *cpuSum) take() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := c.used
	c.used = 0
	return used
}
