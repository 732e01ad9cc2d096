package scheduler

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// group commits calls together: those that come while one flush is under way are carried by the next, so that a busy group
// pays for one commit where many calls wait. Whoever finds it idle flushes, so that an idle group pays nothing for it; while more
// calls wait, a goroutine goes on, and ends with the last of them, for whose answer somebody waits.
type group[In, Out any] struct {
	// flush answers each of its calls. An error is everybody's.
	flush func(ctx context.Context, in []In) ([]Out, error)
	// size bounds what a flush carries, in bytes; nil when calls are small.
	size func(In) int
	// most is how many calls a flush carries; 0 takes groupCalls.
	most int

	mu      sync.Mutex
	waiting []call[In, Out]
	// carried is how many the flush under way carries.
	carried int
	busy    bool
	// crowd says how many the last flush carried and when it ended.
	crowd crowd
}

// call is answered by done, which does not wait for anything.
type call[In, Out any] struct {
	in   In
	done func(Out, error)
}

// Bounds of one flush.
const (
	groupCalls   = 1000
	groupBytes   = 4 << 20
	groupTimeout = 30 * time.Second
)

// do returns when the flush that carries the call has ended. That ctx ends does not end a flush, which carries others, too.
func (g *group[In, Out]) do(ctx context.Context, in In) (Out, error) {
	var out Out
	answered := make(chan error, 1)
	g.post(ctx, in, func(o Out, err error) {
		out = o
		answered <- err
	})
	err := <-answered
	return out, err
}

// post is do for those who need not wait; it returns when the group is busy, or the call has been answered.
func (g *group[In, Out]) post(ctx context.Context, in In, done func(Out, error)) {
	g.mu.Lock()
	g.waiting = append(g.waiting, call[In, Out]{in, done})
	idle := !g.busy
	g.busy = true
	g.mu.Unlock()
	if !idle {
		return
	}
	if ctx = context.WithoutCancel(ctx); g.flushOnce(ctx) {
		go func() {
			for g.flushOnce(ctx) {
			}
		}()
	}
}

// flushOnce tells whether calls are left, which the caller is to flush next.
func (g *group[In, Out]) flushOnce(ctx context.Context) bool {
	g.crowd.gather(g.pending, g.limit())
	batch := g.take()
	g.answer(ctx, batch)
	g.crowd.note(len(batch))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.carried, g.busy = 0, len(g.waiting) > 0
	return g.busy
}

// unanswered is how many have called and have no answer.
func (g *group[In, Out]) unanswered() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting) + g.carried
}

// pending is how many wait.
func (g *group[In, Out]) pending() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

func (g *group[In, Out]) limit() int { return cmp.Or(g.most, groupCalls) }

// take removes from the front what one flush carries: at least one call.
func (g *group[In, Out]) take() []call[In, Out] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, bytes := 0, 0
	for n < min(len(g.waiting), g.limit()) {
		if g.size != nil {
			bytes += g.size(g.waiting[n].in)
		}
		if n > 0 && bytes > groupBytes {
			break
		}
		n++
	}
	batch := g.waiting[:n:n]
	g.waiting, g.carried = g.waiting[n:], n
	return batch
}

func (g *group[In, Out]) answer(ctx context.Context, batch []call[In, Out]) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	in := make([]In, len(batch))
	for i, c := range batch {
		in[i] = c.in
	}
	out, err := g.flush(ctx, in)
	if err != nil {
		out = make([]Out, len(batch))
	}
	for i, c := range batch {
		c.done(out[i], err)
	}
}
