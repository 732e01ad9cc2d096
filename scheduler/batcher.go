package scheduler

import (
	"context"
	"sync"
	"time"
)

// batcher commits calls together. Calls that arrive while one flush is under way are carried by the next, so that a
// busy batcher pays for one commit where many calls wait. An idle one flushes at once.
type batcher[In, Out any] struct {
	// flush answers each of its calls. Its error is the answer to all of them.
	flush func(ctx context.Context, in []In) ([]Out, error)
	// size returns the bytes of a call; nil when calls are small.
	size func(In) int

	mu      sync.Mutex
	waiting []call[In, Out]
	// flushing says that a goroutine takes what waits.
	flushing bool
	// carried is how many calls the last flush carried.
	carried int
}

type call[In, Out any] struct {
	in     In
	answer chan answer[Out]
}

type answer[Out any] struct {
	out Out
	err error
}

// Bounds of one flush.
const (
	flushCalls   = 1000
	flushBytes   = 4 << 20
	flushTimeout = 30 * time.Second
)

// linger delays a flush, so that callers about to arrive join it. It is paid only where the last flush carried
// several: what one event sets going, such as sixteen executions that were admitted together, arrives within
// microseconds, and would else be a flush of one and a flush of fifteen. It is a fraction of what a commit takes.
const linger = 150 * time.Microsecond

// do returns when the flush that carries the call has ended. The end of ctx does not end a flush, which carries
// others, too.
func (b *batcher[In, Out]) do(ctx context.Context, in In) (Out, error) {
	c := call[In, Out]{in, make(chan answer[Out], 1)}
	b.mu.Lock()
	b.waiting = append(b.waiting, c)
	idle := !b.flushing
	b.flushing = true
	b.mu.Unlock()
	if idle {
		// It ends with the answer to the last caller.
		go b.flushAll(context.WithoutCancel(ctx))
	}
	a := <-c.answer
	return a.out, a.err
}

// flushAll flushes until nothing waits.
func (b *batcher[In, Out]) flushAll(ctx context.Context) {
	for {
		if b.carried > 1 {
			time.Sleep(linger)
		}
		batch := b.take()
		if len(batch) == 0 {
			return
		}
		b.answer(ctx, batch)
	}
}

// take removes from the front what one flush carries: at least one call, where one waits.
func (b *batcher[In, Out]) take() []call[In, Out] {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, bytes := 0, 0
	for n < min(len(b.waiting), flushCalls) {
		if b.size != nil {
			bytes += b.size(b.waiting[n].in)
		}
		if n > 0 && bytes > flushBytes {
			break
		}
		n++
	}
	batch := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	if b.flushing = n > 0; b.flushing {
		b.carried = n
	}
	return batch
}

func (b *batcher[In, Out]) answer(ctx context.Context, batch []call[In, Out]) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	in := make([]In, len(batch))
	for i, c := range batch {
		in[i] = c.in
	}
	out, err := b.flush(ctx, in)
	if err != nil {
		out = make([]Out, len(batch))
	}
	for i, c := range batch {
		c.answer <- answer[Out]{out[i], err}
	}
}
