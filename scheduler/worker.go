package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"attune"
	"attune/storage"
)

// WorkerConfig is what a Worker needs. Zero durations take the defaults.
type WorkerConfig struct {
	// Name is unique among all workers of the database and stays the same across restarts: by it a worker finds what
	// its earlier life left. The caller makes sure that one process at a time has it.
	Name string
	// Host identifies the worker's host: while that host has the name, no other may take it. Empty does not say.
	Host string
	// Capacity is the number of slots: how many executions run at one instant.
	Capacity int
	// Labels tell people about the worker.
	Labels map[string]string
	DB     *storage.DB
	// Queue must be running, or wake-ups of other processes are not heard and no deadline passes.
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
	DefaultStopTimeout  = 20 * time.Second
)

// heartbeatInterval leaves a lease two heartbeats that may fail.
const heartbeatInterval = lease / 3

// Worker takes executions from the queue and has its executor run them:
//
//	recovering ──► working ──► draining ──► ended
//
// Recovering settles what an earlier life left, working admits as much as there are slots for, draining waits for
// what runs.
type Worker struct {
	WorkerConfig
	life     workerLife
	recorder *recorder
	// recording ends when outcomes that the database does not take are left to the next life.
	recording context.Context
	// waiting reports whether executions waited at the last admission: then a slot that comes free is worth another.
	waiting atomic.Bool
	// freed is signaled when a slot came free while executions waited.
	freed chan struct{}
	// ending is the number of attempts that are over and not settled yet.
	ending atomic.Int32
	// draining reports that nothing more is taken.
	draining atomic.Bool
	// unheard: an admission may have given executions without the worker's hearing of it. Only Run's goroutine uses it.
	unheard bool

	mu sync.Mutex
	// held maps the numbers of the claims in hand to the functions that stop their attempts.
	held map[int64]context.CancelCauseFunc
	// attempts waits for what runs.
	attempts sync.WaitGroup
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
	return &Worker{
		WorkerConfig: c,
		life:         workerLife{Name: c.Name, ID: uuid.NewString(), Host: c.Host, Capacity: c.Capacity, Labels: c.Labels},
		recorder:     newRecorder(c.Queue, c.Name),
		freed:        make(chan struct{}, 1),
		held:         make(map[int64]context.CancelCauseFunc),
	}, nil
}

// Run works until ctx ends, then drains: nothing new is taken, what has not begun goes back to the queue, what runs
// gets DrainTimeout to end by itself. It returns when no sandbox of the worker is left. An error says that it could
// not begin, or that it was forgotten.
func (w *Worker) Run(ctx context.Context) error {
	life := context.WithoutCancel(ctx)
	var giveUp context.CancelFunc
	w.recording, giveUp = context.WithCancel(life)
	defer giveUp()
	if err := w.recover(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to end before it has begun; the next life settles the rest
		}
		return err
	}
	var maintenance sync.WaitGroup
	defer maintenance.Wait()
	maintenance.Go(func() { w.Executor.Maintain(ctx) })
	if err := w.work(ctx); err != nil {
		return errors.Join(err, w.drain(life, giveUp, 0))
	}
	return w.drain(life, giveUp, w.DrainTimeout)
}

// work admits and heartbeats until ctx ends, or the worker is forgotten.
func (w *Worker) work(ctx context.Context) error {
	wakeUps, unsubscribe := w.Queue.subscribe()
	defer unsubscribe()
	poll, heartbeat := time.NewTicker(w.PollInterval), time.NewTicker(heartbeatInterval)
	defer poll.Stop()
	defer heartbeat.Stop()
	for {
		if err := w.admit(ctx); err != nil && ctx.Err() == nil {
			// The database may be away for a while; what runs goes on.
			w.Log.Error("worker cannot reach the queue", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wakeUps.work:
		case <-w.freed:
			time.Sleep(linger) // what ends together is followed together
		case <-wakeUps.stop:
			w.stopCancelled(ctx)
		case <-poll.C:
			w.stopCancelled(ctx)
		case <-heartbeat.C:
			err := w.Queue.heartbeat(ctx, w.life)
			if attune.CodeOf(err) == attune.CodeConflict {
				return err
			}
			if err != nil && ctx.Err() == nil {
				w.Log.Error("heartbeat failed", "error", err)
			}
		}
	}
}

// admit takes as much as there is room for.
func (w *Worker) admit(ctx context.Context) error {
	if w.unheard {
		if err := w.Queue.release(ctx, w.life, w.claims()); err != nil {
			return err
		}
		w.unheard = false
	}
	for {
		// Until it is known: a slot that comes free from here on may be one that is about to be counted as taken.
		w.waiting.Store(true)
		free := w.free()
		if free < 1 || w.moreSoon(free) || !w.Executor.Ready() {
			return nil
		}
		given, err := w.Queue.admit(ctx, w.life, free)
		if err != nil {
			w.unheard = true
			return err
		}
		w.waiting.Store(given.left > 0)
		for i := range given.claims {
			w.hold(context.WithoutCancel(ctx), &given.claims[i], w.attempt)
		}
		if given.left == 0 || len(given.claims) < min(free, maxAdmission) {
			return nil
		}
	}
}

// moreSoon reports whether to wait for slots that are about to come free, each of which leads to another admission.
// To fill slots one by one would cost a commit each. Half of the slots are worth one: while they are filled, the
// other half may come free.
func (w *Worker) moreSoon(free int) bool { return 2*free < w.Capacity && w.ending.Load() > 0 }

// stopCancelled asks the attempts to end whose executions are canceling. One that the worker does not hold was given
// without its hearing of it, or in an earlier life, and has not begun: it ends here.
func (w *Worker) stopCancelled(ctx context.Context) {
	claims, err := w.Queue.canceling(ctx, w.life)
	if err != nil && ctx.Err() == nil {
		w.Log.Error("worker cannot look for cancellations", "error", err)
	}
	for i := range claims {
		if !w.stop(claims[i].Number, ErrCancelled) {
			if err := w.recorder.settle(ctx, &claims[i], cancelled, time.Time{}); err != nil && ctx.Err() == nil {
				w.Log.Error("cancellation not recorded; it is tried again", "execution", claims[i].ID, "error", err)
			}
		}
	}
}

// drain waits for what runs, and stops it when the time is up; giveUp ends the wait for a database that is away.
func (w *Worker) drain(ctx context.Context, giveUp func(), timeout time.Duration) error {
	w.draining.Store(true)
	done := make(chan struct{})
	go func() {
		w.attempts.Wait()
		close(done)
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		w.stopAll(ErrStopping)
		defer time.AfterFunc(w.StopTimeout+cleanupTimeout, giveUp).Stop()
		<-done
	}
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	return w.Queue.release(ctx, w.life, w.claims())
}
