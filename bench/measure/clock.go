package measure

import (
	"slices"
	"time"
)

// Sample is what one run of one side took for each operation.
type Sample struct {
	// Time is wall time, CPU the processor time of this process and of PostgreSQL.
	Time, CPU time.Duration
	// P99 is the time that one operation in a hundred exceeds, where each was timed.
	P99 time.Duration
}

// Rate is operations per second.
func (s Sample) Rate() float64 { return float64(time.Second) / float64(s.Time) }

// Clock times the part of a run that counts: what comes before Start and after Stop is preparation.
type Clock struct {
	cpu    *CPU
	begin  time.Time
	used   time.Duration
	sample Sample
}

// NewClock returns a clock that reads the processor time from cpu.
func NewClock(cpu *CPU) *Clock { return &Clock{cpu: cpu} }

// Start begins the part that counts.
func (c *Clock) Start() error {
	used, err := c.cpu.Used()
	c.used, c.begin = used, time.Now()
	return err
}

// Stop ends the part that counts; it was for so many operations, and the mean of them is the sample.
func (c *Clock) Stop(operations int) error {
	took := time.Since(c.begin)
	used, err := c.cpu.Used()
	c.sample = Sample{Time: took / time.Duration(operations), CPU: (used - c.used) / time.Duration(operations)}
	return err
}

// StopAt is Stop for operations that were timed one by one: the sample is their median and their P99.
func (c *Clock) StopAt(times []time.Duration) error {
	err := c.Stop(len(times))
	c.sample.Time, c.sample.P99 = Median(times), P99(times)
	return err
}

// Sample is what the last run took.
func (c *Clock) Sample() Sample { return c.sample }

// P99 is the value that one in a hundred exceeds, of at least one.
func P99(times []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(times))[(len(times)*99+99)/100-1]
}

// Median is the value in the middle, of at least one.
func Median[T float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
