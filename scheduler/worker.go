package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"attune"
	"attune/storage"
)

// Executor runs what a worker has claimed. Sandboxes is the real one.
type Executor interface {
	// Attach finds out which of the claims that an earlier life of the worker had begun can go on: Execute will take each of
	// those to its end, as if nothing had happened.
	Attach(ctx context.Context, begun []Claim) ([]Claim, error)
	// Clear removes what an earlier life left and Attach did not take. When it returns nil, nothing of that runs any more, and
	// what is left of the logs of the claims in again is stored as of attempts that will be tried again.
	Clear(ctx context.Context, again []Claim) error
	// Immediate tells that Execute has nothing to prepare and Settled nothing to do: a claim then counts as begun with its
	// admission, which spares a commit, and is durable before Execute hears of it.
	Immediate() bool
	// Ready tells whether the host can take more; where it cannot, executions wait for a worker that can.
	Ready() bool
	// Execute takes a claim to the end of its attempt. It calls begin before any code of the action starts, and returns
	// begin's error as it is. ctx ends, with a cause, when the run is to be stopped. The Retry is the action's; an error
	// says that there was no sandbox.
	Execute(ctx context.Context, c Claim, begin func(context.Context) error) (Outcome, *attune.Retry, error)
	// Settled is told that the outcome is recorded: what was kept for a crash before that may go. It may take its time; the
	// worker's place stays taken until it returns.
	Settled(ctx context.Context, c Claim)
}

// WorkerConfig is what a Worker needs. Zero durations take the defaults.
type WorkerConfig struct {
	// Name is unique among all workers of the database and stays the same across restarts: by it a worker finds what
	// its earlier life left. The caller makes sure that one process at a time has it.
	Name string
	// Capacity is how many executions run at one instant.
	Capacity int
	// Labels tell people about the worker.
	Labels map[string]string
	DB     *storage.DB
	// Queue must be running, or wake-ups of other processes are not heard.
	Queue    *Queue
	Executor Executor
	// PollInterval is how long a lost wake-up can cost.
	PollInterval time.Duration
	// DrainTimeout is how long running executions may go on when the worker is asked to end.
	DrainTimeout time.Duration
	// StopTimeout is how long executions need at most from being stopped to being over.
	StopTimeout time.Duration
	Log         *slog.Logger
}

// Defaults of WorkerConfig.
const (
	DefaultPollInterval = time.Second
	DefaultDrainTimeout = 10 * time.Second
	DefaultStopTimeout  = DefaultGrace + storeTimeout
)

// Why a running sandbox is stopped.
var (
	errCancelled = errors.New("cancellation was asked for")
	errStopping  = errors.New("the worker is stopping")
)

// Worker takes executions from the queue and runs them.
type Worker struct {
	WorkerConfig
	life workerLife
	book *book
	// share is how many it is given, and ends, with one statement.
	share int

	// beaten is when the worker last said that it lives; unsure that it may have been given executions without hearing of
	// it; due when time alone may let somebody go. Only Run's goroutine has to do with them.
	beaten time.Time
	unsure bool
	due    time.Time
	crowd  crowd
	// quiet: the last admission left nobody behind, and gave few.
	quiet bool
	// curious: something may have changed about when time alone lets somebody go.
	curious bool
	// patience ends when the worker stops and outcomes that the database does not take are left to the next life.
	patience context.Context

	mu sync.Mutex
	// running maps the numbers of claims to the functions that stop them.
	running map[int64]context.CancelCauseFunc
	// ended is signaled when an execution has ended and its slot here is free, enough when so many are free that they are worth
	// an admission.
	ended, enough chan struct{}
	// group waits for what runs.
	group sync.WaitGroup
}

// NewWorker checks the configuration and fills in defaults.
func NewWorker(c WorkerConfig) (*Worker, error) {
	if c.Name == "" || c.Capacity < 1 {
		return nil, fmt.Errorf("worker needs a name and a capacity of at least 1, got %q and %d", c.Name, c.Capacity)
	}
	if c.PollInterval == 0 {
		c.PollInterval = DefaultPollInterval
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = DefaultStopTimeout
	}
	c.Log = c.Log.With("worker", c.Name)
	w := &Worker{
		WorkerConfig: c,
		life:         workerLife{Name: c.Name, ID: uuid.NewString(), Capacity: c.Capacity, Labels: c.Labels},
		book:         newBook(c.Queue, c.Name),
		running:      make(map[int64]context.CancelCauseFunc),
		ended:        make(chan struct{}, 1),
		enough:       make(chan struct{}, 1),
		curious:      true,
	}
	w.share = c.Capacity
	if c.Capacity >= halvesFrom {
		w.share = min(c.Capacity/2, groupCalls)
	}
	w.book.entries.most = w.share
	return w, nil
}

// halvesFrom is the capacity from which on a worker is given executions, and ends them, by halves: while one ends, the other is
// given. Below that, what a statement costs by itself counts for more.
const halvesFrom = 200

// Run works until ctx ends, then drains: nothing new is taken, what has not begun goes back to the queue, what runs gets
// DrainTimeout to end by itself. It returns when no sandbox of the worker is left. An error says that it could not begin, or
// that it was forgotten.
func (w *Worker) Run(ctx context.Context) error {
	var giveUp context.CancelFunc
	w.patience, giveUp = context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	if err := w.recover(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to end before it has begun; the next life settles the rest
		}
		return err
	}
	local, unsubscribe := w.Queue.subscribe()
	defer unsubscribe()
	poll := time.NewTicker(w.PollInterval)
	defer poll.Stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		w.gather(ctx)
		err := w.step(ctx)
		if attune.CodeOf(err) == attune.CodeConflict {
			return errors.Join(err, w.drain(context.WithoutCancel(ctx), giveUp, 0))
		}
		if err != nil && ctx.Err() == nil {
			// The database may be away for a while; what runs goes on. What is due is found again when it is back.
			w.due = time.Time{}
			w.Log.Error("worker cannot reach the queue", "error", err)
		}
		if !w.due.IsZero() {
			timer.Reset(time.Until(w.due))
		}
		select {
		case <-ctx.Done():
		case <-local.wake:
		case <-w.ended:
		case <-timer.C:
		case <-local.look:
			w.curious = true
			w.attend(ctx)
		case <-poll.C:
			w.curious = true
			w.attend(ctx)
		}
	}
	return w.drain(context.WithoutCancel(ctx), giveUp, w.DrainTimeout)
}

// step says that the worker lives, does what is due, stops what is to be stopped, and takes as much as there is room for.
func (w *Worker) step(ctx context.Context) error {
	if err := w.beat(ctx); err != nil {
		return err
	}
	if !w.due.IsZero() && !time.Now().Before(w.due) {
		w.due, w.curious = time.Time{}, true
		if err := errors.Join(w.Queue.promote(ctx), w.Queue.expire(ctx)); err != nil {
			return err
		}
	}
	// Until it is known: whatever ends from here on says so, since what is about to be counted may hold its place still.
	w.book.awaited.Store(true)
	free := w.free()
	if free < 1 || !w.Executor.Ready() {
		return w.lookAhead(ctx)
	}
	if w.unsure {
		if err := w.Queue.handBackUnheard(ctx, w.Name, w.known()); err != nil {
			return err
		}
	}
	wanted := min(free, w.share)
	quiet := w.quiet
	claims, left, err := w.Queue.admit(ctx, w.life, wanted, quiet, w.Executor.Immediate())
	w.unsure, w.quiet = err != nil, left == 0 && len(claims) <= storage.FewSlots
	if err != nil {
		return err
	}
	w.crowd.note(len(claims))
	w.begin(context.WithoutCancel(ctx), claims)
	w.book.awaited.Store(left > 0)
	switch {
	case left > 0 && quiet:
		offer(w.ended) // look again, at once, and at all of them
		return nil
	case left > 0 && len(claims) < wanted:
		w.curious = true // a gate holds them, and may open by itself
	case left > 0 && wanted < free:
		offer(w.ended) // there is room for more, at once
		return nil
	}
	return w.lookAhead(ctx)
}

// lookAhead learns when to look again where nobody says so.
func (w *Worker) lookAhead(ctx context.Context) error {
	if !w.curious {
		return nil
	}
	due, misjudged, err := w.Queue.look(ctx)
	if err != nil {
		return err
	}
	w.due, w.curious = due, false
	if misjudged {
		offer(w.ended) // look again, at once
	}
	return nil
}

const (
	// gatherSlots is how long a worker waits for more slots to come free: to fill them one by one would cost an admission each.
	gatherSlots = 4 * time.Millisecond
	// gatherMost is how long it waits at most, while ends are on their way: a database that keeps them waiting must not keep the
	// worker from its other duties.
	gatherMost = 100 * time.Millisecond
)

// worth is how many slots must be free for an admission to be worth its while when others are about to be free.
func (w *Worker) worth() int { return w.share - w.share/4 }

// gather waits until a step is worth its while: where somebody else is about to call, or where another slot is about to be free.
func (w *Worker) gather(ctx context.Context) {
	if w.book.awaited.Load() && w.free() < w.worth() {
		ctx, cancel := context.WithTimeout(ctx, gatherMost)
		defer cancel()
		timer := time.NewTimer(gatherSlots)
		defer timer.Stop()
		for w.free() < w.worth() {
			select {
			case <-ctx.Done():
				return
			case <-w.enough:
			case <-timer.C:
				if w.free()+w.book.entries.unanswered() < w.worth() {
					return
				}
				timer.Reset(gatherSlots) // the others are being ended
			}
		}
	}
	w.crowd.gather(w.free, w.share)
}

// beat renews the lease, and looks after what others may have left, a few times within each lease.
func (w *Worker) beat(ctx context.Context) error {
	if time.Since(w.beaten) < lease/3 {
		return nil
	}
	if err := w.Queue.heartbeat(ctx, w.life); err != nil {
		return err
	}
	w.beaten = time.Now()
	return w.Queue.tidy(ctx)
}

// begin runs claims in goroutines; the executions outlive the worker's wish to end by the drain, which waits for them.
func (w *Worker) begin(ctx context.Context, claims []Claim) {
	w.group.Add(len(claims))
	runs := make([]context.Context, len(claims))
	w.mu.Lock()
	for i, c := range claims {
		runs[i], w.running[c.Number] = context.WithCancelCause(ctx)
	}
	w.mu.Unlock()
	for i, run := range runs {
		go w.execute(run, &claims[i])
	}
}

// over makes room for another, unless the claim keeps its slot: it then stays in hand.
func (w *Worker) over(c *Claim, settled bool) {
	defer w.group.Done()
	w.mu.Lock()
	stop := w.running[c.Number]
	if settled {
		delete(w.running, c.Number)
	}
	enough := w.Capacity-len(w.running) == w.worth()
	w.mu.Unlock()
	stop(nil)
	if !settled {
		return
	}
	if enough {
		offer(w.enough)
	}
	if w.book.awaited.Load() {
		offer(w.ended)
	}
}

// known lists the claims that the worker has in hand.
func (w *Worker) known() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.running))
}

// free is how many more it could run.
func (w *Worker) free() int { return w.Capacity - w.count() }

func (w *Worker) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.running)
}

// attend asks the sandboxes to end whose executions are canceling. One that the worker does not hold was begun without its
// hearing of it, and asked to end before it could: nothing of that runs, and nobody else can end it.
func (w *Worker) attend(ctx context.Context) {
	claims, err := w.Queue.canceling(ctx, w.life)
	if err != nil && ctx.Err() == nil {
		w.Log.Error("worker cannot look for cancellations", "error", err)
	}
	for _, c := range claims {
		if stop := w.stopOf(c); stop != nil {
			stop(errCancelled)
		} else if err := w.book.finish(ctx, c, Outcome{Status: attune.StatusCancelled, Reason: attune.ReasonCancelRequested}); err != nil {
			w.Log.Error("cancellation not recorded; it is tried again", "execution", c.ID, "error", err)
		}
	}
}

// stopOf is what stops a claim, nil when the worker does not hold it.
func (w *Worker) stopOf(c Claim) context.CancelCauseFunc {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running[c.Number]
}

// drain waits for what runs, and stops it when the time is up; giveUp ends the wait for a database that is away.
func (w *Worker) drain(ctx context.Context, giveUp func(), patience time.Duration) error {
	done := make(chan struct{})
	go func() {
		w.group.Wait()
		close(done)
	}()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-done:
	case <-timeout.C:
		w.mu.Lock()
		for _, stop := range w.running {
			stop(errStopping)
		}
		w.mu.Unlock()
		defer time.AfterFunc(w.StopTimeout+cleanupTimeout, giveUp).Stop()
		<-done
	}
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	return w.Queue.handBack(ctx, w.Name)
}
