package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"syscall"
	"time"

	"attune/internal/logfile"
	"attune/internal/retry"
)

// child is a program that runs under supervision until stop.
type child struct {
	program
	log *slog.Logger

	supervised context.Context // ends when supervision must end
	cancel     context.CancelFunc
	done       chan struct{} // closed when supervision has ended
	process    *process      // the latest; the supervisor's until done
}

func newChild(p program, log *slog.Logger) *child {
	c := &child{program: p, log: log.With("daemon", p.name), done: make(chan struct{})}
	c.supervised, c.cancel = context.WithCancel(context.Background())
	close(c.done)
	return c
}

// process is one process of a child.
type process struct {
	pid     int
	started time.Time
	exited  chan struct{} // closed when the process is gone
	err     error         // how it ended; read it after exited
}

// start runs the program and returns when it serves; from then on it is supervised. The caller must call stop, also
// after an error.
func (c *child) start(ctx context.Context) error {
	process, err := c.launch(ctx)
	if err != nil {
		return err
	}
	c.process = process
	if err := c.awaitReady(ctx, process); err != nil {
		return err
	}
	c.log.Info("daemon is ready", "pid", process.pid, "took", time.Since(process.started).Round(time.Millisecond))
	c.done = make(chan struct{})
	go c.supervise()
	return nil
}

// stop ends supervision and then the process.
func (c *child) stop(ctx context.Context) error {
	c.cancel()
	<-c.done
	if err := c.end(ctx, c.log); err != nil {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	if c.process != nil {
		<-c.process.exited
	}
	return nil
}

// The pauses between two starts of a daemon that keeps dying. They are reset by a process that lived for steadyAfter.
const (
	firstPause  = 100 * time.Millisecond
	maxPause    = 10 * time.Second
	steadyAfter = time.Minute
)

// supervise starts the program again whenever it dies, until stop.
func (c *child) supervise() {
	defer close(c.done)
	pauses := retry.Pauses(firstPause, maxPause)
	running := true                                   // start returned after the daemon served
	_ = retry.Do(c.supervised, pauses, func() error { // only stop ends it
		if !running {
			if err := c.restart(); err != nil {
				return err
			}
		}
		running = false
		return c.awaitExit(pauses.Reset)
	}, func(err error, pause time.Duration) {
		c.log.Error("daemon is down; start it again", "in", pause, "error", err)
	})
}

// restart starts the process and waits until it serves or has died.
func (c *child) restart() error {
	process, err := c.launch(c.supervised)
	if err != nil {
		return fmt.Errorf("cannot be started: %w", err)
	}
	c.process = process
	if c.awaitReady(c.supervised, process) == nil {
		c.log.Info("daemon is ready again", "pid", process.pid)
	}
	return nil
}

// logInterval is the time between two looks at the size of a daemon's log.
const logInterval = 10 * time.Second

// awaitExit returns why the process died, or nil after stop. Meanwhile it keeps the log short. It calls steady for a
// process that lived long.
func (c *child) awaitExit(steady func()) error {
	tick := time.NewTicker(logInterval)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-c.supervised.Done():
			return nil
		case <-c.process.exited:
			running = false
		case <-tick.C:
			if err := logfile.Bound(c.logPath); err != nil {
				c.log.Warn("the daemon's log grows", "error", err)
			}
		}
	}
	lived := time.Since(c.process.started)
	if lived >= steadyAfter {
		steady()
	}
	return fmt.Errorf("process %d died after %s: %w", c.process.pid, lived.Round(time.Millisecond), c.process.err)
}

// launch ends what is left of an earlier process and starts a new one.
func (c *child) launch(ctx context.Context) (*process, error) {
	if err := c.end(ctx, c.log); err != nil {
		return nil, err
	}
	out, err := logfile.Open(c.logPath)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()

	cmd := c.command()
	cmd.Dir = c.home
	// With a file instead of a pipe, and a process group of its own, the daemon survives us and a Ctrl-C.
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := c.launcher(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	p := &process{pid: cmd.Process.Pid, started: time.Now(), exited: make(chan struct{})}
	go p.wait(cmd)
	return p, nil
}

// wait returns when the process has exited.
func (p *process) wait(cmd *exec.Cmd) {
	defer close(p.exited)
	if p.err = cmd.Wait(); p.err == nil {
		p.err = errors.New("exit status 0")
	}
}

// errPermanent marks an error of ready that waiting does not cure.
var errPermanent = errors.New("permanent")

const (
	readyTimeout = 2 * time.Second  // of one health check
	readyReport  = 10 * time.Second // between two log lines of a long wait
)

func (c *child) awaitReady(ctx context.Context, p *process) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	report := time.NewTicker(readyReport)
	defer report.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, readyTimeout)
		err := c.ready(asked)
		cancel()
		if err == nil || errors.Is(err, errPermanent) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (its last answer: %w)", c.name, ctx.Err(), err)
		case <-p.exited:
			return fmt.Errorf("%s ended before it served (%w); the end of %s:\n%s",
				c.name, p.err, c.logPath, tailOf(c.logPath))
		case <-report.C:
			c.log.Warn("daemon does not serve yet", "after", time.Since(p.started).Round(time.Second), "error", err)
		case <-tick.C:
		}
	}
}
