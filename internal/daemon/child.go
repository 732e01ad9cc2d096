package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"syscall"
	"time"
)

// child is a program that is kept running until stop.
type child struct {
	program
	log *slog.Logger

	supervised context.Context // over when the child is to stay down
	release    context.CancelFunc
	done       chan struct{} // closed when nobody supervises any more
	process    *incarnation  // the latest; the supervisor's until done
}

func newChild(p program, log *slog.Logger) *child {
	c := &child{program: p, log: log.With("daemon", p.name), done: make(chan struct{})}
	c.supervised, c.release = context.WithCancel(context.Background())
	close(c.done)
	return c
}

// incarnation is one process of a child.
type incarnation struct {
	pid     int
	started time.Time
	exited  chan struct{} // closed when the process is gone
	err     error         // how it ended; read it after exited
}

// start runs the program and returns when it serves; from then on it is supervised. Also after an error, stop is due.
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
	c.release()
	<-c.done
	if err := c.evict(ctx, c.log); err != nil {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	if c.process != nil {
		<-c.process.exited
	}
	return nil
}

// Backoff between two starts of a daemon that keeps dying; a process that lived for steadyAfter clears the record.
const (
	firstPause  = 100 * time.Millisecond
	maxPause    = 10 * time.Second
	steadyAfter = time.Minute
)

func (c *child) supervise() {
	defer close(c.done)
	pause := firstPause
	for {
		select {
		case <-c.supervised.Done():
			return
		case <-c.process.exited:
		}
		lived := time.Since(c.process.started)
		if lived >= steadyAfter {
			pause = firstPause
		}
		c.log.Error("daemon died; start it again", "pid", c.process.pid, "lived", lived, "in", pause, "error", c.process.err)
		if !c.relaunch(&pause) {
			return
		}
		if c.awaitReady(c.supervised, c.process) == nil {
			c.log.Info("daemon is ready again", "pid", c.process.pid)
		}
	}
}

// relaunch starts the program, after a pause that doubles each time, until that succeeds. It is false when supervision
// is over.
func (c *child) relaunch(pause *time.Duration) bool {
	for {
		select {
		case <-c.supervised.Done():
			return false
		case <-time.After(*pause):
		}
		*pause = min(2**pause, maxPause)
		process, err := c.launch(c.supervised)
		if err == nil {
			c.process = process
			return true
		}
		c.log.Error("daemon cannot be started", "in", *pause, "error", err)
	}
}

// launch starts the process, once nothing of an earlier one is left.
func (c *child) launch(ctx context.Context) (*incarnation, error) {
	if err := c.evict(ctx, c.log); err != nil {
		return nil, err
	}
	out, err := openLog(c.logPath)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()

	cmd := c.command()
	cmd.Dir = c.home
	// A file and not a pipe, and a group of its own: the process survives us, and a Ctrl-C is not meant for it.
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := c.launcher(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	process := &incarnation{pid: cmd.Process.Pid, started: time.Now(), exited: make(chan struct{})}
	go process.wait(cmd)
	return process, nil
}

// wait ends with the process; evict is what makes that happen.
func (i *incarnation) wait(cmd *exec.Cmd) {
	defer close(i.exited)
	if i.err = cmd.Wait(); i.err == nil {
		i.err = errors.New("exit status 0")
	}
}

// errPermanent marks an answer that no further waiting will change.
var errPermanent = errors.New("permanent")

const (
	readyTimeout = 2 * time.Second  // of one question
	readyReport  = 10 * time.Second // how often a long wait is mentioned
)

func (c *child) awaitReady(ctx context.Context, process *incarnation) error {
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
		case <-process.exited:
			return fmt.Errorf("%s ended before it served (%w); the end of %s:\n%s", c.name, process.err, c.logPath, tailOf(c.logPath))
		case <-report.C:
			c.log.Warn("daemon does not serve yet", "after", time.Since(process.started).Round(time.Second), "error", err)
		case <-tick.C:
		}
	}
}
