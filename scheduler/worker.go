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

	"attune/sandbox"
	"attune/storage"
)

// Images tells which images are on this host.
type Images interface {
	Has(ctx context.Context, digest string) (bool, error)
}

// WorkerConfig is what a Worker needs. Zero durations and sizes take the defaults.
type WorkerConfig struct {
	// Name is unique among all workers of the database and stays the same across restarts: by it a worker finds what
	// its earlier life left. The caller makes sure that one process at a time has it.
	Name string
	// Capacity is how many executions run at one instant.
	Capacity int
	DB       *storage.DB
	Queue    *Queue
	Runtime  sandbox.Runtime
	Images   Images
	Logs     *storage.Logs
	// LogBytes is the cap of a stream whose action sets none; 0 takes storage.DefaultLogBytes.
	LogBytes int64
	// PollInterval is how long a lost wake-up can cost.
	PollInterval time.Duration
	// DrainTimeout is how long running executions may go on when the worker is asked to end.
	DrainTimeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL.
	Grace time.Duration
	Log   *slog.Logger
}

// Defaults of WorkerConfig.
const (
	DefaultPollInterval = time.Second
	DefaultDrainTimeout = 10 * time.Second
	DefaultGrace        = 5 * time.Second
)

// spoolInterval is how often logs are looked for that object storage could not take when their executions ended.
const spoolInterval = 15 * time.Second

// leaseTime is how long a worker counts as alive after its last heartbeat.
const leaseTime = 15 * time.Second

// Why a running sandbox is stopped.
var (
	errCancelled = errors.New("cancellation was asked for")
	errStopping  = errors.New("the worker is stopping")
)

// Worker takes executions from the queue and runs them.
type Worker struct {
	WorkerConfig

	// beaten is when the worker last said that it lives; unsure that it may have been given executions without hearing of
	// it. Only Run's goroutine has to do with them.
	beaten time.Time
	unsure bool
	// full is what hasRoom said last.
	full bool
	// patience ends when the worker stops and outcomes that the database does not take are left to the next life.
	patience context.Context

	mu sync.Mutex
	// running maps execution ids to the functions that stop them.
	running map[string]context.CancelCauseFunc
	// ended is signaled when an execution has ended and its slot here is free.
	ended chan struct{}
	// stopping is closed when a drain has no more time.
	stopping chan struct{}
	group    sync.WaitGroup
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
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	c.Log = c.Log.With("worker", c.Name)
	return &Worker{
		WorkerConfig: c,
		running:      make(map[string]context.CancelCauseFunc),
		ended:        make(chan struct{}, 1),
		stopping:     make(chan struct{}),
	}, nil
}

// Run works until ctx ends, then drains: nothing new is taken, what has not begun goes back to the queue, what runs gets
// DrainTimeout to end by itself. It returns when no sandbox of the worker is left.
func (w *Worker) Run(ctx context.Context) error {
	var giveUp context.CancelFunc
	w.patience, giveUp = context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	if err := w.recover(ctx); err != nil {
		return err
	}
	listener := w.DB.Listen(ctx, WakeChannel)
	defer listener.Wait()
	poll := time.NewTicker(w.PollInterval)
	defer poll.Stop()
	var spool sync.WaitGroup
	spool.Go(func() { w.storeSpool(ctx) })
	defer spool.Wait()
	for ctx.Err() == nil {
		if err := w.step(ctx); err != nil && ctx.Err() == nil {
			// The database may be away for a while; what runs goes on.
			w.Log.Error("worker cannot reach the queue", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-listener.C(WakeChannel):
		case <-w.ended:
		case <-poll.C:
		}
	}
	return w.drain(context.WithoutCancel(ctx), giveUp)
}

// step says that the worker lives, stops what is to be stopped, and takes as much as there is room for.
func (w *Worker) step(ctx context.Context) error {
	if time.Since(w.beaten) > leaseTime/3 {
		if err := w.DB.Workers.Heartbeat(ctx, w.Name, w.Capacity, leaseTime); err != nil {
			return err
		}
		w.beaten = time.Now()
	}
	if err := w.stopCancelled(ctx); err != nil {
		return err
	}
	free := w.Capacity - w.count()
	if free < 1 || !w.hasRoom() {
		return nil
	}
	if w.unsure {
		if err := w.Queue.handBack(ctx, w.Name, w.known()); err != nil {
			return err
		}
	}
	claims, err := w.Queue.admit(ctx, w.Name, free)
	w.unsure = err != nil
	if err != nil {
		return err
	}
	for _, c := range claims {
		w.begin(ctx, c)
	}
	return nil
}

// spoolReserve is what must be left of the disk for logs before anything is taken: an execution on a full disk would lose its
// log, or its start.
const spoolReserve = 128 << 20

// hasRoom tells whether the disk has room for the logs of more executions. Where it has not, they wait in the queue for a
// worker that has.
func (w *Worker) hasRoom() bool {
	left, err := w.Logs.Free()
	full := err != nil || left < spoolReserve
	if full != w.full {
		w.full = full
		if full {
			w.Log.Error("the disk for logs is full; nothing is taken from the queue", "bytes_left", left, "error", err)
		} else {
			w.Log.Info("the disk for logs has room again")
		}
	}
	return !full
}

// begin runs a claim in a goroutine that drain waits for. The execution outlives ctx by the drain.
func (w *Worker) begin(ctx context.Context, c claim) {
	ctx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	w.mu.Lock()
	w.running[c.ID] = stop
	w.mu.Unlock()
	w.group.Go(func() {
		w.execute(ctx, c)
		stop(nil)
		w.mu.Lock()
		delete(w.running, c.ID)
		w.mu.Unlock()
		select {
		case w.ended <- struct{}{}:
		default:
		}
	})
}

// known lists the executions that the worker has in hand.
func (w *Worker) known() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.running))
}

func (w *Worker) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.running)
}

// stopCancelled asks the sandboxes to end whose executions are canceling.
func (w *Worker) stopCancelled(ctx context.Context) error {
	if w.count() == 0 {
		return nil
	}
	ids, err := w.Queue.canceling(ctx, w.Name)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if stop := w.running[id]; stop != nil {
			stop(errCancelled)
		}
	}
	return nil
}

// drain waits for what runs, and stops it when the time is up; giveUp ends the wait for a database that is away.
func (w *Worker) drain(ctx context.Context, giveUp func()) error {
	done := make(chan struct{})
	go func() {
		w.group.Wait()
		close(done)
	}()
	timeout := time.NewTimer(w.DrainTimeout)
	defer timeout.Stop()
	select {
	case <-done:
	case <-timeout.C:
		close(w.stopping)
		w.mu.Lock()
		for _, stop := range w.running {
			stop(errStopping)
		}
		w.mu.Unlock()
		defer time.AfterFunc(w.Grace+storeTimeout+cleanupTimeout, giveUp).Stop()
		<-done
	}
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	return w.Queue.handBack(ctx, w.Name, nil)
}
