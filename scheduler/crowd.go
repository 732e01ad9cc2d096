package scheduler

import (
	"runtime"
	"time"
)

// crowd decides how long to wait for company before something is done for all who are there. Only one goroutine at a time
// may use it.
type crowd struct {
	size  int
	since time.Time
}

const (
	// gatherTurns lets those in who are about to call: what one event sets going, such as sixteen executions that were
	// admitted together, comes within microseconds, and would else be a flush of one and a flush of fifteen.
	gatherTurns = 8
	// gatherPause is worth waiting where others have just been: it is less than what a commit takes.
	gatherPause = 150 * time.Microsecond
	// gatherMemory is how long a crowd counts as just been, and gatherEach what each in it adds to that: a large one is away for
	// longer before it comes again.
	gatherMemory = 3 * time.Millisecond
	gatherEach   = 20 * time.Microsecond
	// gatherCall is what each of a large crowd adds to the wait for half of it: while the database keeps the processors busy, they
	// take that long to call.
	gatherCall = 2 * time.Microsecond
	// gatherRush is how many must come within a pause for another to be worth waiting.
	gatherRush = 32
)

// gather returns at once where nobody else was there lately, and not while they come in a rush; here counts those who have come,
// and enough of them need no more.
func (c *crowd) gather(here func() int, enough int) {
	before := here()
	if before >= enough {
		return
	}
	for range gatherTurns {
		runtime.Gosched()
	}
	if crowd := time.Duration(c.size); crowd > 1 && time.Since(c.since) < gatherMemory+crowd*gatherEach {
		begun := time.Now()
		time.Sleep(gatherPause)
		for here() < min(c.size, enough)/2 && time.Since(begun) < crowd*gatherCall { // a sleep may take a multiple of its time
			time.Sleep(gatherPause)
		}
	}
	for now := here(); now < enough && now-before >= gatherRush; now = here() {
		before = now
		time.Sleep(gatherPause)
	}
}

// note remembers how many came.
func (c *crowd) note(n int) { c.size, c.since = n, time.Now() }
