package sandbox

import (
	"math"
	"time"
)

// line is the sandboxes of one action that wait, and what is known of their use.
type line struct {
	spec Spec
	key  string
	// ready are those that wait, oldest first.
	ready []waiting

	// fixed is how many the action asks for; nil leaves it to use.
	fixed *int
	// used is when one was last asked for, and rate how many were each second, as of then.
	used time.Time
	rate float64
	// refill is how long making one takes, in seconds.
	refill float64
	// each is what one takes, in bytes.
	each int64
	// paused: none is made before the next use.
	paused bool
}

// waiting is a sandbox that nobody has used.
type waiting struct {
	sandbox Sandbox
	id      string
	made    time.Time
	memory  int64
}

const (
	// unknownMemory and unknownRefill stand for what has not been measured yet.
	unknownMemory = 24 << 20
	unknownRefill = 0.2
	// rateMemory is the time in seconds after which an arrival counts for little more than a third.
	rateMemory = 30.0
	// maxReady bounds the sandboxes of one action.
	maxReady = 64
)

func newLine(spec Spec) *line {
	return &line{spec: spec, key: key(spec), refill: unknownRefill, each: min(unknownMemory, spec.Resources.MemoryBytes)}
}

// use notes that a sandbox is asked for.
func (l *line) use(now time.Time, fixed *int) {
	l.rate = l.rateAt(now) + 1/rateMemory
	l.used, l.fixed, l.paused = now, fixed, false
}

// rateAt forgets exponentially.
func (l *line) rateAt(now time.Time) float64 {
	return l.rate * math.Exp(-now.Sub(l.used).Seconds()/rateMemory)
}

// target is how many are to wait. By Little's law, as many are asked for while one is made as arrivals each second times
// the time that takes; two standard deviations more make up for arrivals that come together.
func (l *line) target(now time.Time, keepFor time.Duration) int {
	if now.Sub(l.used) > keepFor {
		return 0
	}
	if l.fixed != nil {
		return min(*l.fixed, maxReady)
	}
	demand := l.rateAt(now) * l.refill
	return min(max(int(math.Ceil(demand+2*math.Sqrt(demand))), 1), maxReady)
}

// made notes how long a sandbox took to make.
func (l *line) made(took time.Duration) {
	const weight = 0.3
	l.refill += weight * (took.Seconds() - l.refill)
}

// memory is what those that wait take.
func (l *line) memory() (total int64) {
	for _, w := range l.ready {
		total += w.memory
	}
	return total
}
