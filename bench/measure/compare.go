package measure

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Side is one of the two that are compared.
type Side struct {
	Name string
	// Run does it once, and starts and stops the clock.
	Run func(context.Context, *Clock) error
}

// Comparison is a question with a number as its answer.
type Comparison struct {
	// Name is for programs, Title for people.
	Name, Title string
	A, B        Side
	// Times makes the ratio one of times, A's through B's. Without it, it is one of rates: how many times faster A is.
	Times bool
	// Pairs is how many runs there are of each side, rounded up to an even number.
	Pairs int
	// Target tells whether a ratio is good enough; nil where nothing is promised.
	Target *Target
}

// Target is what a ratio is to reach.
type Target struct {
	Must, Goal float64
	// AtMost: smaller is better.
	AtMost bool
}

// Result is the answer.
type Result struct {
	Comparison
	// Ratios are those of the pairs, smallest first.
	Ratios []float64
	// ControlA and ControlB are the ratios of two runs of the same side, the first through the second, in the middle.
	ControlA, ControlB float64
	// MedianA and MedianB are each side's, time and processor time apart.
	MedianA, MedianB Sample
}

// Run compares. The order is A B B A and again, so that each pair has its runs side by side and each side goes first as
// often as second. Two runs of one side that follow each other are the control: they say what the machine makes of a ratio
// that is truly 1.
func (c Comparison) Run(ctx context.Context, clock *Clock) (Result, error) {
	var a, b []Sample
	once := func(s Side, samples *[]Sample) error {
		if err := s.Run(ctx, clock); err != nil {
			return fmt.Errorf("%s: %s: %w", c.Name, s.Name, err)
		}
		*samples = append(*samples, clock.Sample())
		return nil
	}
	// What is slow the first time, on either side, is not what the question is about.
	for _, s := range []Side{c.A, c.B} {
		if err := once(s, new([]Sample)); err != nil {
			return Result{}, err
		}
	}
	for len(a) < c.Pairs {
		for _, next := range []struct {
			side    Side
			samples *[]Sample
		}{{c.A, &a}, {c.B, &b}, {c.B, &b}, {c.A, &a}} {
			if err := once(next.side, next.samples); err != nil {
				return Result{}, err
			}
		}
	}
	// One more of A, so that the last quadruple has a control of it, too.
	var last []Sample
	if err := once(c.A, &last); err != nil {
		return Result{}, err
	}
	return c.evaluate(a, b, last[0]), nil
}

func (c Comparison) evaluate(a, b []Sample, last Sample) Result {
	r := Result{Comparison: c, MedianA: medianSample(a), MedianB: medianSample(b)}
	for i := range a {
		r.Ratios = append(r.Ratios, c.ratio(a[i], b[i]))
	}
	slices.Sort(r.Ratios)
	var controlsA, controlsB []float64
	for i := 0; i+1 < len(a); i += 2 {
		next := last
		if i+2 < len(a) {
			next = a[i+2]
		}
		controlsA = append(controlsA, c.ratio(a[i+1], next))
		controlsB = append(controlsB, c.ratio(b[i], b[i+1]))
	}
	r.ControlA, r.ControlB = median(controlsA), median(controlsB)
	return r
}

func (c Comparison) ratio(a, b Sample) float64 {
	if c.Times {
		return float64(a.Time) / float64(b.Time)
	}
	return float64(b.Time) / float64(a.Time)
}

// Median is the answer.
func (r Result) Median() float64 { return median(r.Ratios) }

// Min is the smallest ratio of a pair.
func (r Result) Min() float64 { return r.Ratios[0] }

// Max is the largest ratio of a pair.
func (r Result) Max() float64 { return r.Ratios[len(r.Ratios)-1] }

// Bounds of the controls of a result that says something.
const minControl, maxControl = 0.9, 1.1

// Usable tells whether the machine was quiet enough.
func (r Result) Usable() bool {
	return min(r.ControlA, r.ControlB) >= minControl && max(r.ControlA, r.ControlB) <= maxControl
}

func medianSample(samples []Sample) Sample {
	var m Sample
	times, used := make([]float64, len(samples)), make([]float64, len(samples))
	for i, s := range samples {
		times[i], used[i] = float64(s.Time), float64(s.CPU)
	}
	m.Time, m.CPU = time.Duration(median(times)), time.Duration(median(used))
	return m
}
