package main

import (
	"context"
	"fmt"
	"os"

	"attune/bench/measure"
)

// bench is what all lines share.
type bench struct {
	options
	own  *service
	peer *peer
	// ready is how many sandboxes the pool keeps, by action.
	ready   map[string]int
	results []measure.Result
	figures []figure
}

// part is some lines that are measured together.
type part struct {
	lines []string
	// flags are those of `attune up`; other flags than those of the part before make it start again, with an empty pool.
	flags []string
	run   func(context.Context) error
}

// measure takes the lines in the order of docs/benchmarks.md.
func (b *bench) measure(ctx context.Context) error {
	var parts []part
	for _, l := range languages {
		parts = append(parts, b.latencyPart(l))
	}
	parts = append(parts, b.memoryPart(languages), b.burstPart(), b.sustainedPart(), b.idlePart(), b.rssPart())
	inGVisor := shell
	inGVisor.suffix += "_runsc"
	parts = append(parts, b.latencyPart(inGVisor, "--runtime", "runsc"),
		b.memoryPart([]language{inGVisor}, "--runtime", "runsc"))
	for _, p := range parts {
		if !b.wants(p.lines...) {
			continue
		}
		if err := b.serve(ctx, p.flags); err != nil {
			return err
		}
		if err := p.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wants reports whether one of the lines is to be measured.
func (b *bench) wants(lines ...string) bool {
	for _, line := range lines {
		if b.only.MatchString(line) {
			return true
		}
	}
	return false
}

// compare runs a comparison, and reports it.
func (b *bench) compare(ctx context.Context, c measure.Comparison) (measure.Result, error) {
	fmt.Fprintf(os.Stderr, "measuring %s …\n", c.Name)
	result, err := c.Run(ctx, measure.NewClock(nil))
	if err == nil {
		b.results = append(b.results, result)
	}
	return result, err
}
