package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// candidates are the settings that River is tried with, based on its documentation and its own benchmark.
func candidates() []riverSettings {
	var all []riverSettings
	for _, workers := range []int{100, 200, 500, 1000, 2000} {
		all = append(all, riverSettings{maxWorkers: workers, fetchCooldown: time.Millisecond})
	}
	return all
}

// clientCandidates are for jobs that a client waits for or that come one by one, where fewer fetches may be faster.
func clientCandidates() []riverSettings {
	var all []riverSettings
	for _, cooldown := range []time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		all = append(all,
			riverSettings{maxWorkers: 500, fetchCooldown: cooldown},
			riverSettings{maxWorkers: 100, fetchCooldown: cooldown, completeInJob: true})
	}
	return all
}

// tuneRuns is the number of runs of each candidate.
const tuneRuns = 3

// best runs the candidates in one scenario and returns the one with the fastest median, with its time per job.
func (b *bench) best(ctx context.Context, what string, all []riverSettings,
	scenario func(*riverQueue) run,
) (*riverQueue, time.Duration, error) {
	var chosen *riverQueue
	var fastest time.Duration
	for _, settings := range all {
		q := b.river.with(settings)
		times := make([]time.Duration, tuneRuns)
		for i := range times {
			if err := scenario(q)(ctx, b.clock); err != nil {
				return nil, 0, fmt.Errorf("try River with %s: %w", settings, err)
			}
			times[i] = b.clock.Sample().Time
		}
		slices.Sort(times)
		middle := times[tuneRuns/2]
		fmt.Fprintf(b.log, "  %s: %s: %.0f jobs/s\n", what, settings, float64(time.Second)/float64(middle))
		if chosen == nil || middle < fastest {
			chosen, fastest = q, middle
		}
	}
	b.note("River, %s: %s", what, chosen.riverSettings)
	return chosen, fastest, nil
}
