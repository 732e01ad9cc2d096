package scheduler

import (
	"context"
	"sync"
	"time"

	"attune/storage"
)

// WakeChannel is notified, without a payload, whenever a worker may find something to do: an execution was queued, a
// slot was freed, a cancellation was asked for.
const WakeChannel = "attune_executions"

// notifyPause is the least time between two notifications: a burst of wake-ups becomes few of them, since each NOTIFY
// takes a lock that all commits with one share. waitersPause is the same for looks at what other processes have ended.
const (
	notifyPause  = 10 * time.Millisecond
	waitersPause = 50 * time.Millisecond
)

// subscription is how a worker is woken: it may be given something, or it should look at what it is to stop.
type subscription struct{ work, stop chan struct{} }

// Run sends wake-ups to other processes and hears of theirs, and does what time alone lets happen, until ctx ends.
func (q *Queue) Run(ctx context.Context) error {
	listener := q.db.Listen(ctx, WakeChannel)
	defer listener.Wait()
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { q.keepDeadlines(ctx) })
	group.Go(func() { q.notifyOthers(ctx, listener) })
	group.Go(func() { q.tellWaiters(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-listener.C(WakeChannel):
			q.wakeAll()
			offer(q.waiters.look)
		}
	}
}

// tellWaiters looks for ends that other processes have recorded.
func (q *Queue) tellWaiters(ctx context.Context) {
	poll := time.NewTicker(DefaultPollInterval)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		case <-q.waiters.look:
		}
		q.tell(ctx)
		if !pause(ctx, waitersPause) {
			return
		}
	}
}

// notifyOthers sends the wake-ups of this process. They are sent from here and not from the transactions that cause
// them, since NOTIFY inside a transaction serializes commits; and not at all while no other process listens.
func (q *Queue) notifyOthers(ctx context.Context, listener *storage.Listener) {
	poll := time.NewTicker(DefaultPollInterval)
	defer poll.Stop()
	alone := q.isAlone(ctx, listener)
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			alone = q.isAlone(ctx, listener)
			continue
		case <-q.notify:
		}
		if alone {
			continue
		}
		// A lost wake-up costs one poll interval, so it is logged and not repeated.
		if err := q.db.Notify(ctx, WakeChannel); err != nil && ctx.Err() == nil {
			q.log.Warn("wake-up not sent", "error", err)
		}
		if !pause(ctx, notifyPause) {
			return
		}
	}
}

// isAlone reports whether no other process is known to listen.
func (q *Queue) isAlone(ctx context.Context, listener *storage.Listener) bool {
	others, err := listener.Others(ctx)
	return err == nil && !others
}

// signal wakes the workers of this process, asks Run to wake those of others, and never blocks.
func (q *Queue) signal() {
	q.wakeWorkers()
	offer(q.notify)
}

// signalAll does the same after executions were asked to end, or when a deadline may be new.
func (q *Queue) signalAll() {
	q.wakeAll()
	offer(q.notify)
}

// signalDeadline has this process look for an earlier deadline.
func (q *Queue) signalDeadline() { offer(q.deadlines) }

// wakeWorkers has the workers of this process look for something to take.
func (q *Queue) wakeWorkers() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for s := range q.workers {
		offer(s.work)
	}
}

// wakeAll has this process look at everything.
func (q *Queue) wakeAll() {
	q.wakeWorkers()
	q.signalDeadline()
	q.mu.Lock()
	defer q.mu.Unlock()
	for s := range q.workers {
		offer(s.stop)
	}
}

// subscribe begins to wake a worker, until the returned function is called.
func (q *Queue) subscribe() (*subscription, func()) {
	s := &subscription{work: make(chan struct{}, 1), stop: make(chan struct{}, 1)}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.workers[s] = true
	return s, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.workers, s)
	}
}

// offer puts a signal where none waits yet.
func offer(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pause returns false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
