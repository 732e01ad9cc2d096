package main

import (
	"fmt"
	"slices"
	"time"

	"attune/bench/measure"
)

// figure is a result that is not the ratio of pairs.
type figure struct {
	name, title string
	// values are those of the runs; the one in the middle is reported.
	values []float64
	unit   string
	target *measure.Target
}

func (f figure) text() string {
	text := fmt.Sprintf("%s: %.3f %s", f.title, measure.Median(f.values), f.unit)
	if len(f.values) > 1 {
		text += fmt.Sprintf(", %.3f – %.3f in %d runs", slices.Min(f.values), slices.Max(f.values), len(f.values))
	}
	if f.target != nil {
		text += fmt.Sprintf(" (must be ≤ %g, goal ≤ %g)", f.target.Must, f.target.Goal)
	}
	return text
}

func (f figure) line() string {
	return fmt.Sprintf("%s %.3f %s", f.name, measure.Median(f.values), f.unit)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
