package sandbox

import (
	"fmt"
	"math"
	"time"
)

// stock is the ready sandboxes of one action, and what is known of their use.
type stock struct {
	spec Spec
	key  string
	// ready has the oldest first.
	ready []readySandbox

	// fixed is the number that the action asks for. Where it is nil, use decides.
	fixed *int
	// used is the time of the last use, rate the uses per second as of then.
	used time.Time
	rate float64
	// refill is how long it takes to make a sandbox, in seconds.
	refill float64
	// each is the memory of one sandbox, in bytes.
	each int64
	// paused stops refills until the next use.
	paused bool
}

// readySandbox is a sandbox that was made ahead and not used yet.
type readySandbox struct {
	sandbox Sandbox
	id      string
	made    time.Time
	memory  int64
}

const (
	// unknownMemory and unknownRefill are assumed before the first measurement.
	unknownMemory = 24 << 20
	unknownRefill = 0.2
	// rateMemory is the time in seconds after which a use counts for little more than a third.
	rateMemory = 30.0
	// waitingCPU is the processor time that a sandbox may take before its use, to load what it can. waitingShare of the
	// time that it waits comes on top: some runtimes take a little of it even when the code inside does nothing.
	waitingCPU   = 10 * time.Second
	waitingShare = 0.05
	// maxReady bounds the ready sandboxes of one action.
	maxReady = 64
)

// overspent returns an error where a sandbox took more processor time than it may before its use.
func (r readySandbox) overspent(took Waiting, now time.Time) error {
	may := waitingCPU + time.Duration(waitingShare*float64(now.Sub(r.made)))
	if took.CPU <= may {
		return nil
	}
	return fmt.Errorf("it took %v of processor time while it waited, of %v",
		took.CPU.Round(time.Millisecond), may.Round(time.Millisecond))
}

func newStock(spec Spec) *stock {
	return &stock{spec: spec, key: key(spec), refill: unknownRefill, each: min(unknownMemory, spec.Resources.MemoryBytes)}
}

// use notes that an execution asks for a sandbox.
func (s *stock) use(now time.Time, fixed *int) {
	s.rate = s.rateAt(now) + 1/rateMemory
	s.used, s.fixed, s.paused = now, fixed, false
}

// rateAt is the rate of use at a later time, with no use in between. It decays exponentially.
func (s *stock) rateAt(now time.Time) float64 {
	return s.rate * math.Exp(-now.Sub(s.used).Seconds()/rateMemory)
}

// target is how many sandboxes should be ready. By Little's law, while one is made, uses per second times the time to
// make one are asked for. Two standard deviations more cover uses that come together.
func (s *stock) target(now time.Time, keepFor time.Duration) int {
	if now.Sub(s.used) > keepFor {
		return 0
	}
	if s.fixed != nil {
		return min(*s.fixed, maxReady)
	}
	demand := s.rateAt(now) * s.refill
	return min(max(int(math.Ceil(demand+2*math.Sqrt(demand))), 1), maxReady)
}

// made notes how long it took to make a sandbox.
func (s *stock) made(took time.Duration) {
	const weight = 0.3
	s.refill += weight * (took.Seconds() - s.refill)
}

// memory is what the ready sandboxes take.
func (s *stock) memory() (total int64) {
	for _, r := range s.ready {
		total += r.memory
	}
	return total
}
