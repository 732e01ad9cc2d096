package scheduler

import (
	"context"
	"sync"
	"time"
)

// group commits calls together: those that come while one flush is under way are carried by the next, so that a busy group
// pays for one commit where many calls wait, and an idle one pays nothing for it. Callers take turns in flushing, so that
// there is no goroutine to own.
type group[In, Out any] struct {
	// flush answers each of its calls. An error is everybody's.
	flush func(ctx context.Context, in []In) ([]Out, error)
	// size bounds what a flush carries, in bytes; nil when calls are small.
	size func(In) int

	mu      sync.Mutex
	waiting []*call[In, Out]
	busy    bool
	// idle are calls that have been answered, to be used again.
	idle sync.Pool
	// crowd says how many the last flush carried and when it ended.
	crowd crowd
}

type call[In, Out any] struct {
	in  In
	out Out
	err error
	// turn gets true when the call has been answered, and false when it is its caller's turn to flush.
	turn chan bool
}

// Bounds of one flush.
const (
	groupCalls   = 1000
	groupBytes   = 4 << 20
	groupTimeout = 30 * time.Second
)

// do returns when the flush that carries the call has ended. That ctx ends does not end a flush, which carries others, too.
func (g *group[In, Out]) do(ctx context.Context, in In) (Out, error) {
	c, _ := g.idle.Get().(*call[In, Out])
	if c == nil {
		c = &call[In, Out]{turn: make(chan bool, 1)}
	}
	c.in = in
	defer g.idle.Put(c)
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	leads := !g.busy
	g.busy = true
	g.mu.Unlock()
	if !leads && <-c.turn {
		return c.out, c.err
	}
	g.crowd.gather()
	batch := g.take()
	g.answer(ctx, batch)
	g.crowd.note(len(batch))
	g.mu.Lock()
	if len(g.waiting) > 0 {
		g.waiting[0].turn <- false
	} else {
		g.busy = false
	}
	g.mu.Unlock()
	for _, other := range batch {
		if other != c {
			other.turn <- true
		}
	}
	return c.out, c.err
}

// take removes from the front what one flush carries: at least one call.
func (g *group[In, Out]) take() []*call[In, Out] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, bytes := 0, 0
	for n < min(len(g.waiting), groupCalls) {
		if g.size != nil {
			bytes += g.size(g.waiting[n].in)
		}
		if n > 0 && bytes > groupBytes {
			break
		}
		n++
	}
	batch := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return batch
}

func (g *group[In, Out]) answer(ctx context.Context, batch []*call[In, Out]) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), groupTimeout)
	defer cancel()
	in := make([]In, len(batch))
	for i, c := range batch {
		in[i] = c.in
	}
	out, err := g.flush(ctx, in)
	for i, c := range batch {
		if c.err = err; err == nil {
			c.out = out[i]
		}
	}
}
