package main

import (
	"context"
	"time"

	"attune/bench/measure"
)

// each is how many executions make a run of a side that takes them one after the other.
const each = 10

// latencyPart compares one execution at a time, with a sandbox that waits and without.
func (b *bench) latencyPart(l language, flags ...string) part {
	suffix := l.suffix
	warm, tail := "warm_submit_to_result_p50_over_runc"+suffix, "warm_submit_to_result_p99_over_runc_p99"+suffix
	cold := "cold_submit_to_result_p50_over_runc" + suffix
	who := l.with(flags)
	// Promises are made for Python.
	promise := func(must, goal float64) *measure.Target {
		if l.name != "python" {
			return nil
		}
		return &measure.Target{Must: must, Goal: goal, AtMost: true}
	}
	return part{lines: []string{warm, tail, cold}, flags: flags, run: func(ctx context.Context) error {
		if err := b.fill(ctx, l.warm(), kept); err != nil {
			return err
		}
		if b.wants(warm, tail) {
			own, peer, err := b.besideRunc(ctx, l, warm, "warm "+who+" ÷ runc", promise(0.25, 0.06), b.warmRun(l))
			if err != nil {
				return err
			}
			b.figures = append(b.figures,
				figure{tail, "p99 of warm " + who + " ÷ runc's", []float64{float64(own) / float64(peer)}, "ratio",
					promise(0.5, 0.15)},
				figure{"warm_submit_to_result_p99" + suffix, "p99 of warm " + who, []float64{milliseconds(own)}, "ms", nil},
				figure{"runc_p99" + suffix, "p99 of runc with " + l.name, []float64{milliseconds(peer)}, "ms", nil})
		}
		if !b.wants(cold) {
			return nil
		}
		_, _, err := b.besideRunc(ctx, l, cold, "cold "+who+" ÷ runc", promise(2, 1.25),
			func(ctx context.Context) (time.Duration, error) {
				return timeOf(func() error { return b.own.complete(ctx, l.cold()) })
			})
		return err
	}}
}

// warmRun is one execution that must find a sandbox; before it, the pool is full and still.
func (b *bench) warmRun(l language) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (took time.Duration, err error) {
		if err := b.settle(ctx); err != nil {
			return 0, err
		}
		err = b.hits(ctx, 1, func() (err error) {
			took, err = timeOf(func() error { return b.own.complete(ctx, l.warm()) })
			return err
		})
		return took, err
	}
}

// besideRunc compares an operation with runc, and returns the p99 of each over all runs.
func (b *bench) besideRunc(
	ctx context.Context, l language, name, title string, target *measure.Target,
	operation func(context.Context) (time.Duration, error),
) (ownP99, peerP99 time.Duration, err error) {
	bundles, err := b.peer.bundles(ctx, l.file, name, 1)
	if err != nil {
		return 0, 0, err
	}
	var own, peer []time.Duration
	kept := func(all *[]time.Duration, operation func(context.Context) (time.Duration, error)) side {
		return inTurn(each, func(ctx context.Context) (time.Duration, error) {
			took, err := operation(ctx)
			*all = append(*all, took)
			return took, err
		})
	}
	_, err = b.compare(ctx, measure.Comparison{
		Name: name, Title: title, Times: true, Pairs: b.pairs, Target: target,
		A: measure.Side{Name: "Attune", Run: kept(&own, operation)},
		B: measure.Side{Name: "runc run", Run: kept(&peer, func(ctx context.Context) (time.Duration, error) {
			if err := b.settle(ctx); err != nil { // No refill may disturb it, either.
				return 0, err
			}
			return timeOf(func() error { return bundles[0].run(ctx) })
		})},
	})
	if err != nil {
		return 0, 0, err
	}
	return measure.P99(own), measure.P99(peer), nil
}
