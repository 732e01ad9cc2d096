package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"attune"
	"attune/bench/measure"
)

const (
	// capacity has room for all that the line about memory needs.
	capacity = 104
	// concurrentRuns is how many run while the service's memory is read.
	concurrentRuns = 100
	// each is how many operations, one after the other, make a run of a side.
	each = 10
	// parallel is how many clients there are for the sustained rate, and parallelEach how many executions each has.
	parallel, parallelEach = 8, 4
	// settleTime is more than an interpreter needs until it waits, once its sandbox has been made.
	settleTime = 300 * time.Millisecond
)

// bench is what all lines share.
type bench struct {
	options
	own     *service
	peer    *peer
	results []measure.Result
	figures []figure
	// filled is how many sandboxes wait when nothing is going on.
	filled float64
}

// figure is a result that is not the median of pairs.
type figure struct {
	name, title string
	value       float64
	unit        string
	target      *measure.Target
}

func (f figure) text() string {
	text := fmt.Sprintf("%s: %.3f %s", f.title, f.value, f.unit)
	if f.target != nil {
		text += fmt.Sprintf(" (must be ≤ %g, goal ≤ %g)", f.target.Must, f.target.Goal)
	}
	return text
}

func (f figure) line() string { return fmt.Sprintf("%s %.3f %s", f.name, f.value, f.unit) }

func (b *bench) wants(name string) bool { return b.only.MatchString(name) }

// measure takes the lines in the order of docs/benchmarks.md.
func (b *bench) measure(ctx context.Context) error {
	for _, l := range languages {
		if err := b.latency(ctx, l); err != nil {
			return err
		}
	}
	if b.wants("warm_idle_memory_mib") {
		if err := b.idleMemory(ctx); err != nil {
			return err
		}
	}
	if b.wants("sustained_runs_over_parallel_runc") {
		if err := b.sustained(ctx); err != nil {
			return err
		}
	}
	if b.wants("attune_rss_mib_100_concurrent_runs") {
		return b.rss(ctx)
	}
	return nil
}

// latency compares one execution at a time, with a sandbox that waits and without.
func (b *bench) latency(ctx context.Context, l language) error {
	suffix := "_" + l.name
	var must, mustP99, mustCold *measure.Target
	if l.name == "python" {
		suffix = ""
		must, mustP99 = &measure.Target{Must: 0.25, Goal: 0.06, AtMost: true}, &measure.Target{Must: 0.5, Goal: 0.15, AtMost: true}
		mustCold = &measure.Target{Must: 2, Goal: 1.25, AtMost: true}
	}
	warm, tail, cold := "warm_submit_to_result_p50_over_runc"+suffix, "warm_submit_to_result_p99_over_runc_p99"+suffix, "cold_submit_to_result_p50_over_runc"+suffix
	if !b.wants(warm) && !b.wants(tail) && !b.wants(cold) && !b.wants("warm_idle_memory_mib") && !b.wants("sustained_runs_over_parallel_runc") {
		return nil
	}
	if err := b.fill(ctx, l); err != nil {
		return err
	}
	if b.wants(warm) || b.wants(tail) {
		var own, peer []time.Duration
		err := b.compare(ctx, l, warm, "warm "+l.name+" ÷ runc", must, b.timed(&own, func(ctx context.Context) (time.Duration, error) {
			return b.warmRun(ctx, l)
		}), &peer)
		if err != nil {
			return err
		}
		b.figures = append(b.figures, figure{tail, "p99 of warm " + l.name + " ÷ runc's", ratio(p99(own), p99(peer)), "ratio", mustP99},
			figure{"warm_submit_to_result_p99" + suffix, "p99 of warm " + l.name, milliseconds(p99(own)), "ms", nil},
			figure{"runc_p99" + suffix, "p99 of runc with " + l.name, milliseconds(p99(peer)), "ms", nil})
	}
	if b.wants(cold) {
		var own, peer []time.Duration
		return b.compare(ctx, l, cold, "cold "+l.name+" ÷ runc", mustCold, b.timed(&own, func(ctx context.Context) (time.Duration, error) {
			return timeOf(func() error { return b.own.run(ctx, "bench."+l.name+"_cold") })
		}), &peer)
	}
	return nil
}

// fill has the pool keep sandboxes of a language, and waits for them.
func (b *bench) fill(ctx context.Context, l language) error {
	if err := b.own.run(ctx, "bench."+l.name+"_warm"); err != nil {
		return err
	}
	n, err := strconv.Atoi(kept)
	b.filled += float64(n)
	return errors.Join(err, b.settle(ctx))
}

// settle waits until as many sandboxes wait as are kept.
func (b *bench) settle(ctx context.Context) error {
	for {
		n, err := b.own.metric(ctx, "attune_pool_sandboxes")
		if err != nil {
			return err
		}
		if n >= b.filled {
			return pause(ctx, settleTime)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// warmRun is one execution that must find a sandbox; before it, the pool is full and still.
func (b *bench) warmRun(ctx context.Context, l language) (time.Duration, error) {
	if err := b.settle(ctx); err != nil {
		return 0, err
	}
	before, err := b.own.metric(ctx, "attune_pool_hits_total")
	if err != nil {
		return 0, err
	}
	took, err := timeOf(func() error { return b.own.run(ctx, "bench."+l.name+"_warm") })
	if err != nil {
		return 0, err
	}
	after, err := b.own.metric(ctx, "attune_pool_hits_total")
	if err == nil && after != before+1 {
		err = errors.New("the pool had no sandbox")
	}
	return took, err
}

type side = func(context.Context, *measure.Clock) error

// timed makes a run of a side out of an operation; all times are kept as well.
func (b *bench) timed(all *[]time.Duration, operation func(context.Context) (time.Duration, error)) side {
	return func(ctx context.Context, clock *measure.Clock) error {
		if err := clock.Start(); err != nil {
			return err
		}
		var times []time.Duration
		for range each {
			took, err := operation(ctx)
			if err != nil {
				return err
			}
			times = append(times, took)
		}
		*all = append(*all, times...)
		return clock.StopAt(times)
	}
}

// compare puts a side beside runc.
func (b *bench) compare(ctx context.Context, l language, name, title string, target *measure.Target, own side, peer *[]time.Duration) error {
	bundles, err := b.bundles(ctx, l, name, 1)
	if err != nil {
		return err
	}
	return b.add(ctx, measure.Comparison{
		Name: name, Title: title, Times: true, Pairs: b.pairs, Target: target, A: measure.Side{Name: "Attune", Run: own},
		B: measure.Side{Name: "runc run", Run: b.timed(peer, func(ctx context.Context) (time.Duration, error) {
			if err := b.settle(ctx); err != nil { // No refill may disturb it, either.
				return 0, err
			}
			return timeOf(func() error { return bundles[0].run(ctx) })
		})},
	})
}

func (b *bench) add(ctx context.Context, c measure.Comparison) error {
	fmt.Fprintf(os.Stderr, "measuring %s …\n", c.Name)
	result, err := c.Run(ctx, measure.NewClock(nil))
	b.results = append(b.results, result)
	return err
}

func (b *bench) bundles(ctx context.Context, l language, name string, n int) ([]*bundle, error) {
	found, err := b.peer.waiting(ctx, l.file)
	if err != nil {
		return nil, err
	}
	all := make([]*bundle, n)
	for i := range all {
		if all[i], err = b.peer.newBundle(ctx, found[0], fmt.Sprintf("%s-%d", strings.ReplaceAll(name, "_", "-"), i)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// sustained compares the rate of several clients that each wait for the end of one before they submit the next.
func (b *bench) sustained(ctx context.Context) error {
	l := languages[0]
	bundles, err := b.bundles(ctx, l, "sustained", parallel)
	if err != nil {
		return err
	}
	rate := func(operation func(ctx context.Context, client int) error) side {
		return func(ctx context.Context, clock *measure.Clock) error {
			if err := clock.Start(); err != nil {
				return err
			}
			group, ctx := errgroup.WithContext(ctx)
			for client := range parallel {
				group.Go(func() error {
					for range parallelEach {
						if err := operation(ctx, client); err != nil {
							return err
						}
					}
					return nil
				})
			}
			return errors.Join(group.Wait(), clock.Stop(parallel*parallelEach))
		}
	}
	return b.add(ctx, measure.Comparison{
		Name: "sustained_runs_over_parallel_runc", Title: "8 clients that wait, Attune ÷ runc", Pairs: b.pairs,
		Target: &measure.Target{Must: 0.7, Goal: 1.2},
		A:      measure.Side{Name: "Attune", Run: rate(func(ctx context.Context, _ int) error { return b.own.run(ctx, "bench."+l.name+"_used") })},
		B:      measure.Side{Name: "runc run", Run: rate(func(ctx context.Context, client int) error { return bundles[client].run(ctx) })},
	})
}

// idleMemory reads what the sandboxes that wait take, in the kernel's account.
func (b *bench) idleMemory(ctx context.Context) error {
	for _, l := range languages {
		found, err := b.peer.waiting(ctx, l.file)
		if err != nil {
			return err
		}
		var sizes []float64
		for _, c := range found {
			spec, err := specOf(c)
			if err != nil {
				return err
			}
			size, err := groupMemory(spec.Linux.CgroupsPath)
			if err != nil {
				return err
			}
			sizes = append(sizes, size)
		}
		slices.Sort(sizes)
		name := "warm_idle_memory_mib"
		if l.name != "python" {
			name += "_" + l.name
		}
		b.figures = append(b.figures, figure{name, "memory of a " + l.name + " sandbox that waits", sizes[len(sizes)/2] / (1 << 20), "MiB", nil})
	}
	return nil
}

// groupMemory reads either version's counter.
func groupMemory(path string) (float64, error) {
	text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", path, "memory.current"))
	if errors.Is(err, os.ErrNotExist) {
		text, err = os.ReadFile(filepath.Join("/sys/fs/cgroup/memory", path, "memory.usage_in_bytes"))
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
}

// rss reads the memory of the service's process while many executions run.
func (b *bench) rss(ctx context.Context) error {
	fmt.Fprintln(os.Stderr, "measuring attune_rss_mib_100_concurrent_runs …")
	var ids []string
	for range concurrentRuns {
		id, err := b.own.submit(ctx, "bench.holding")
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		e, err := b.own.until(ctx, id, 50*time.Millisecond, func(s attune.Status) bool { return s == attune.StatusRunning || s.Terminal() })
		if err != nil || e.Status != attune.StatusRunning {
			return errors.Join(err, fmt.Errorf("an execution that waits is %s for %s", e.Status, e.Reason))
		}
	}
	// A sandbox is being made while its execution already counts as running.
	if err := pause(ctx, 5*time.Second); err != nil {
		return err
	}
	bytes, err := b.own.rss()
	if err != nil {
		return err
	}
	b.figures = append(b.figures, figure{"attune_rss_mib_100_concurrent_runs", "attune's resident memory with 100 executions running", bytes / (1 << 20), "MiB",
		&measure.Target{Must: 200, Goal: 100, AtMost: true}})
	for _, id := range ids {
		if err := b.own.call(ctx, http.MethodPost, "/api/v1/executions/"+id+"/cancel", struct{}{}, new(attune.Execution)); err != nil {
			return err
		}
	}
	return nil
}

func timeOf(operation func() error) (time.Duration, error) {
	begun := time.Now()
	err := operation()
	return time.Since(begun), err
}

// p99 is the value that one in a hundred exceeds.
func p99(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, len(sorted)*99/100)]
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
