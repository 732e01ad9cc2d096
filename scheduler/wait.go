package scheduler

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
)

// waiters are the calls of Wait in this process.
type waiters struct {
	mu   sync.Mutex
	byID map[string][]chan struct{}
	// over are the last executions that ended, as far as this process knows: a call that begins a moment too late
	// finds its own here. The ring says which is the oldest.
	over map[string]bool
	ring [4096]string
	next int
	// look is signaled when a call has begun, for an end that may have come before it.
	look chan struct{}
}

func (w *waiters) init() {
	w.byID = make(map[string][]chan struct{})
	w.over = make(map[string]bool, len(w.ring))
	w.look = make(chan struct{}, 1)
}

// add returns a channel that gets a value at the end of an execution.
func (w *waiters) add(id string) chan struct{} {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byID[id] = append(w.byID[id], c)
	if w.over[id] {
		offer(c)
	} else {
		offer(w.look)
	}
	return c
}

func (w *waiters) remove(id string, c chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, other := range w.byID[id] {
		if other == c {
			w.byID[id] = append(w.byID[id][:i:i], w.byID[id][i+1:]...)
		}
	}
	if len(w.byID[id]) == 0 {
		delete(w.byID, id)
	}
}

// tell ends the calls that wait for executions, which are over.
func (w *waiters) tell(ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		oldest := &w.ring[w.next%len(w.ring)]
		delete(w.over, *oldest)
		*oldest, w.over[id] = id, true
		w.next++
		for _, c := range w.byID[id] {
			offer(c)
		}
	}
}

func (w *waiters) ids() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make([]string, 0, len(w.byID))
	for id := range w.byID {
		ids = append(ids, id)
	}
	return ids
}

// tell looks for the ends that other processes have recorded.
func (q *Queue) tell(ctx context.Context) {
	ids := q.waiters.ids()
	if len(ids) == 0 {
		return
	}
	rows, err := q.db.Pool().Query(ctx, `select id::text from finished where id = any($1::uuid[])`, ids)
	if err == nil {
		ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		if ctx.Err() == nil {
			q.log.Warn("cannot look for the ends of executions; asking again soon", "error", err)
		}
		return
	}
	q.waiters.tell(ids...)
}

// Wait returns when an execution is over, or with the error of ctx. It relies on Run.
func (q *Queue) Wait(ctx context.Context, id string) error {
	over := q.waiters.add(id)
	defer q.waiters.remove(id, over)
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
