package main

import (
	"context"
	"errors"
	"os"
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

func (s *split) figures() (figures []figure) {
	for _, part := range splitOrder {
		figures = append(figures,
			figure{processorLine + part.suffix, "processor time of a run: " + part.title, s.parts[part.suffix], "ms", nil})
	}
	return figures
}

// countOwn notes the processor time that a run of n executions takes, with all that is made and removed for them.
func (b *bench) countOwn(s *split, n int, action time.Duration, run side) side {
	return func(ctx context.Context, clock *measure.Clock) error {
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
		var total time.Duration
		for account, used := range after {
			used -= before[account]
			total += used
			if account == sandboxAccount {
				used -= time.Duration(n) * action
			}
			s.add(account, used, n)
		}
		s.add("", total, n)
		return nil
	}
}

// actionTimes are the processor times that sandboxes use for an execution, one after the other: what the API reports,
// which is all that the sandbox's control group used, less what that group had used while the sandbox waited.
func (b *bench) actionTimes(ctx context.Context, l language) (taken []time.Duration, err error) {
	if err := b.rest(ctx); err != nil {
		return nil, err
	}
	for range each {
		waiting, err := b.waitingTimes(ctx, l)
		if err != nil {
			return nil, err
		}
		e, err := b.own.run(ctx, l.warm())
		if err != nil {
			return nil, err
		}
		if err := b.rest(ctx); err != nil {
			return nil, err
		}
		var gone []time.Duration
		for group, used := range waiting {
			if _, err := groupProcessorTime(group); errors.Is(err, os.ErrNotExist) {
				gone = append(gone, used)
			}
		}
		if len(gone) == 1 { // Otherwise, another one was replaced for its age.
			taken = append(taken, e.processorTime()-gone[0])
		}
	}
	if len(taken) == 0 {
		err = errors.New("no execution was alone in using a sandbox")
	}
	return taken, err
}

// waitingTimes are the processor times of the sandboxes that wait, by control group.
func (b *bench) waitingTimes(ctx context.Context, l language) (map[string]time.Duration, error) {
	found, err := b.peer.waiting(ctx, l.file)
	if err != nil {
		return nil, err
	}
	used := make(map[string]time.Duration)
	for _, c := range found {
		spec, err := specOf(c)
		if err != nil {
			return nil, err
		}
		if used[spec.Linux.CgroupsPath], err = groupProcessorTime(spec.Linux.CgroupsPath); err != nil {
			return nil, err
		}
	}
	return used, nil
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
