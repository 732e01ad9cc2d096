package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"syscall"
	"time"

	"attune/internal/retry"
)

// child is a program that is kept running until stop.
type child struct {
	program
	log *slog.Logger

	supervised context.Context // ends when the child is to stay down
	release    context.CancelFunc
	done       chan struct{} // closed when supervision has ended
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

// start runs the program and returns when it serves. From then on it is supervised. The caller stops it, also after an
// error.
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

// Pauses between two starts of a daemon that keeps dying. A process that lived for steadyAfter starts them anew.
const (
	firstPause  = 100 * time.Millisecond
	maxPause    = 10 * time.Second
	steadyAfter = time.Minute
)

// supervise starts the program again whenever it dies, until release.
func (c *child) supervise() {
	defer close(c.done)
	pauses := retry.Pauses(firstPause, maxPause)
	running := true                                   // start has seen to it
	_ = retry.Do(c.supervised, pauses, func() error { // only release ends it
		if !running {
			if err := c.relaunch(); err != nil {
				return err
			}
		}
		running = false
		return c.awaitDeath(pauses.Reset)
	}, func(err error, pause time.Duration) {
		c.log.Error("daemon is down; start it again", "in", pause, "error", err)
	})
}

// relaunch starts the process and waits until it serves or has died.
func (c *child) relaunch() error {
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

// awaitDeath returns why the process died, or nil after release. It calls steady for a process that lived long.
func (c *child) awaitDeath(steady func()) error {
	select {
	case <-c.supervised.Done():
		return nil
	case <-c.process.exited:
	}
	lived := time.Since(c.process.started)
	if lived >= steadyAfter {
		steady()
	}
	return fmt.Errorf("process %d died after %s: %w", c.process.pid, lived.Round(time.Millisecond), c.process.err)
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
	// A file and not a pipe, and its own process group: the process survives us, and a Ctrl-C is not meant for it.
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
			return fmt.Errorf("%s ended before it served (%w); the end of %s:\n%s",
				c.name, process.err, c.logPath, tailOf(c.logPath))
		case <-report.C:
			c.log.Warn("daemon does not serve yet", "after", time.Since(process.started).Round(time.Second), "error", err)
		case <-tick.C:
		}
	}
}
