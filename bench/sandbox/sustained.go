package main

import (
	"context"
	"fmt"

	"attune/bench/measure"
)

const (
	sustainedLine = "sustained_runs_over_parallel_runc"
	processorLine = "cpu_ms_per_run"
	// clients is how many there are for the sustained rate, and clientEach how many executions each has in a run.
	clients, clientEach = 8, 16
)

// sustainedPart compares the rate of several clients that each wait for the end of one before they submit the next, and
// says who takes the processor's time for it.
func (b *bench) sustainedPart() part {
	return part{lines: []string{sustainedLine, processorLine}, run: func(ctx context.Context) error {
		l := languages[0]
		if err := b.fill(ctx, l.warm(), kept); err != nil {
			return err
		}
		bundles, err := b.peer.bundles(ctx, l.file, sustainedLine, clients)
		if err != nil {
			return err
		}
		actions, err := b.actionTimes(ctx, l)
		if err != nil {
			return err
		}
		s := &split{parts: make(map[string][]float64)}
		for _, used := range actions {
			s.add("_action", used, 1)
		}
		n := clients * clientEach
		own := b.countOwn(s, n, measure.Median(actions), inParallel(clients, clientEach,
			func(ctx context.Context, _ int) error { return b.own.complete(ctx, l.used()) }))
		runc := countRunc(s, n, inParallel(clients, clientEach,
			func(ctx context.Context, client int) error { return bundles[client].run(ctx) }))
		_, err = b.compare(ctx, measure.Comparison{
			Name: sustainedLine, Title: fmt.Sprintf("%d clients that wait, Attune ÷ runc", clients), Pairs: b.pairs,
			Target: &measure.Target{Must: 0.8, Goal: 2},
			A:      measure.Side{Name: "Attune", Run: after(b.rest, own)},
			B:      measure.Side{Name: "runc run", Run: after(b.rest, runc)},
		})
		if err != nil {
			return err
		}
		b.figures = append(b.figures, s.figures()...)
		return nil
	}}
}
