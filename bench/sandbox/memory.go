package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"attune/bench/measure"
)

const memoryLine = "warm_idle_memory_mib"

// memoryPart reads what the sandboxes that wait take, in the kernel's account.
func (b *bench) memoryPart(languages []language, flags ...string) part {
	var lines []string
	for _, l := range languages {
		lines = append(lines, memoryLine+l.suffix)
	}
	return part{lines: lines, flags: flags, run: func(ctx context.Context) error {
		for _, l := range languages {
			if err := b.fill(ctx, l.warm(), kept); err != nil {
				return err
			}
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
				sizes = append(sizes, size/(1<<20))
			}
			b.figures = append(b.figures, figure{memoryLine + l.suffix, "memory of a sandbox that waits for " + l.with(flags),
				[]float64{measure.Median(sizes)}, "MiB", nil})
		}
		return nil
	}}
}

// concurrentRuns is how many run while the service's memory is read.
const concurrentRuns = 100

const rssLine = "attune_rss_mib_100_concurrent_runs"

// rssPart reads the memory of the service's process while many executions run.
func (b *bench) rssPart() part {
	return part{lines: []string{rssLine}, flags: []string{"--capacity", fmt.Sprint(concurrentRuns)}, run: b.rss}
}

func (b *bench) rss(ctx context.Context) error {
	fmt.Fprintf(os.Stderr, "measuring %s …\n", rssLine)
	var ids []string
	for range concurrentRuns {
		id, err := b.own.submit(ctx, "bench.holding")
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		if err := b.own.untilRunning(ctx, id); err != nil {
			return err
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
	b.figures = append(b.figures, figure{rssLine, "attune's resident memory with 100 executions running",
		[]float64{bytes / (1 << 20)}, "MiB", &measure.Target{Must: 200, Goal: 100, AtMost: true}})
	for _, id := range ids {
		if err := b.own.cancel(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
