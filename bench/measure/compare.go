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
	// Target is what the ratio is to reach; nil where nothing is promised.
	Target *Target
}

// Target is what a value is to reach.
type Target struct {
	// Must is what is promised; 0 promises nothing.
	Must, Goal float64
	// AtMost: smaller is better.
	AtMost bool
}

// Result is the answer.
type Result struct {
	Comparison
	// runs are in the order in which they were taken: A B B A, and again, and one more of A.
	runs []Sample
	// Ratios are those of the pairs, smallest first.
	Ratios []float64
	// ControlA and ControlB are the ratios of two runs of the same side, the first through the second, in the middle.
	ControlA, ControlB float64
	// MedianA and MedianB are each side's, time and processor time apart.
	MedianA, MedianB Sample
}

// Run compares. The order is A B B A and again, so that each pair has its runs side by side and each side goes first as
// often as second. Two runs of one side that follow each other are the control: they say what the machine makes of a
// ratio that is truly 1.
func (c Comparison) Run(ctx context.Context, clock *Clock) (Result, error) {
	var runs []Sample
	take := func(sides ...Side) error {
		for _, s := range sides {
			if err := s.Run(ctx, clock); err != nil {
				return fmt.Errorf("%s: %s: %w", c.Name, s.Name, err)
			}
			runs = append(runs, clock.Sample())
		}
		return nil
	}
	if err := take(c.A, c.B); err != nil {
		return Result{}, err
	}
	runs = nil // What is slow the first time, on either side, is not what the question is about.
	for pairs := 0; pairs < c.Pairs; pairs += 2 {
		if err := take(c.A, c.B, c.B, c.A); err != nil {
			return Result{}, err
		}
	}
	// One more of A, so that the last four have a control of it, too.
	if err := take(c.A); err != nil {
		return Result{}, err
	}
	return c.evaluate(runs), nil
}

// Tail is the answer, out of the same runs, to the same question about the P99 of each.
func (r Result) Tail(name, title string, target *Target) Result {
	c := r.Comparison
	c.Name, c.Title, c.Target = name, title, target
	tails := make([]Sample, len(r.runs))
	for i, s := range r.runs {
		tails[i].Time = s.P99
	}
	return c.evaluate(tails)
}

func (c Comparison) evaluate(runs []Sample) Result {
	var a, b []Sample
	var controlsA, controlsB []float64
	r := Result{Comparison: c, runs: runs}
	for i := 0; i+4 < len(runs); i += 4 {
		a1, b1, b2, a2, next := runs[i], runs[i+1], runs[i+2], runs[i+3], runs[i+4]
		a, b = append(a, a1, a2), append(b, b1, b2)
		r.Ratios = append(r.Ratios, c.ratio(a1, b1), c.ratio(a2, b2))
		controlsA, controlsB = append(controlsA, c.ratio(a2, next)), append(controlsB, c.ratio(b1, b2))
	}
	slices.Sort(r.Ratios)
	r.ControlA, r.ControlB = Median(controlsA), Median(controlsB)
	r.MedianA, r.MedianB = medianSample(a), medianSample(b)
	return r
}

func (c Comparison) ratio(a, b Sample) float64 {
	if c.Times {
		return float64(a.Time) / float64(b.Time)
	}
	return float64(b.Time) / float64(a.Time)
}

// Median is the answer.
func (r Result) Median() float64 { return Median(r.Ratios) }

// Min is the smallest ratio of a pair.
func (r Result) Min() float64 { return r.Ratios[0] }

// Max is the largest ratio of a pair.
func (r Result) Max() float64 { return r.Ratios[len(r.Ratios)-1] }

// Bounds of the controls of a result that says something.
const minControl, maxControl = 0.9, 1.1

// Usable reports whether the machine was quiet enough.
func (r Result) Usable() bool {
	return min(r.ControlA, r.ControlB) >= minControl && max(r.ControlA, r.ControlB) <= maxControl
}

func medianSample(samples []Sample) Sample {
	var m Sample
	times, used := make([]float64, len(samples)), make([]float64, len(samples))
	for i, s := range samples {
		times[i], used[i] = float64(s.Time), float64(s.CPU)
	}
	m.Time, m.CPU = time.Duration(Median(times)), time.Duration(Median(used))
	return m
}
