package main

import (
	"context"

	"attune/bench/measure"
)

// burstSize is how many executions are submitted at once.
const burstSize = 100

// burstPart compares executions that are submitted at once with as many runc that are started at once.
func (b *bench) burstPart() part {
	names := func(suffix string) (p50, p99 string) {
		return "burst_100_p50_over_100_parallel_runc" + suffix, "burst_100_p99_over_100_parallel_runc" + suffix
	}
	warmP50, warmP99 := names("")
	coldP50, coldP99 := names("_cold")
	l := languages[0]
	return part{lines: []string{warmP50, warmP99, coldP50, coldP99}, run: func(ctx context.Context) error {
		if b.wants(coldP50, coldP99) {
			if err := b.fill(ctx, l.warm(), kept); err != nil { // One that waits is what runc is given.
				return err
			}
			run := atOnce(burstSize, func(ctx context.Context, _ int) error { return b.own.complete(ctx, l.cold()) })
			if err := b.burst(ctx, l.file, coldP50, coldP99, "cold", run); err != nil {
				return err
			}
		}
		if !b.wants(warmP50, warmP99) {
			return nil
		}
		s := standby{ref: "burst", actions: 2, each: burstSize / 2}
		if err := b.add(ctx, s); err != nil {
			return err
		}
		burst := atOnce(burstSize, func(ctx context.Context, i int) error {
			return b.own.complete(ctx, s.action(i%s.actions))
		})
		run := func(ctx context.Context, clock *measure.Clock) error {
			return b.hits(ctx, burstSize, func() error { return burst(ctx, clock) })
		}
		if err := b.burst(ctx, s.file(), warmP50, warmP99, "warm", run); err != nil {
			return err
		}
		return b.remove(ctx, s)
	}}
}

func (b *bench) burst(ctx context.Context, file, p50, p99, kind string, own side) error {
	bundles, err := b.peer.bundles(ctx, file, p50, burstSize)
	if err != nil {
		return err
	}
	runc := atOnce(burstSize, func(ctx context.Context, i int) error { return bundles[i].run(ctx) })
	goal := &measure.Target{Goal: 0.5, AtMost: true}
	result, err := b.compare(ctx, measure.Comparison{
		Name: p50, Title: "p50 of 100 at once, " + kind + " ÷ runc", Times: true, Pairs: b.pairs, Target: goal,
		A: measure.Side{Name: "Attune", Run: after(b.rest, own)},
		B: measure.Side{Name: "runc run", Run: after(b.rest, runc)},
	})
	if err == nil {
		b.results = append(b.results, result.Tail(p99, "p99 of 100 at once, "+kind+" ÷ runc", goal))
	}
	return err
}
