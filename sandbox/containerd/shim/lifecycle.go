//go:build cgo

package shim

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"
)

// start starts the process of a container, once.
func (c *container) start() error {
	if c.hasExited() {
		// Runc's library would wait for it in a thread that it never takes back.
		return fmt.Errorf("the process of container %s ended before it was started: %w", c.id, errdefs.ErrFailedPrecondition)
	}
	if c.started.Swap(true) {
		return fmt.Errorf("container %s has been started: %w", c.id, errdefs.ErrFailedPrecondition)
	}
	if err := c.engine.start(); err != nil {
		return fmt.Errorf("start container %s: %w", c.id, err)
	}
	return nil
}

// reap waits for the end of the process and notes it.
func (c *container) reap(wait func() (*os.ProcessState, error)) {
	state, _ := wait() // the error says no more than the state
	c.exitedAt, c.status = time.Now(), unknownStatus
	if state != nil {
		c.status = exitStatus(state.Sys().(syscall.WaitStatus))
	}
	close(c.exited)
}

// unknownStatus is that of a process whose end the kernel does not report; containerd uses the same number.
const unknownStatus = 255

// exitStatus adds 128 to the number of the signal that ended a process, as shells do.
func exitStatus(status syscall.WaitStatus) uint32 {
	if status.Signaled() {
		return 128 + uint32(status.Signal())
	}
	return uint32(status.ExitStatus())
}

func (c *container) hasExited() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// kill signals the first process of a container.
func (c *container) kill(signal unix.Signal) error {
	if c.hasExited() {
		return fmt.Errorf("the process of container %s has ended: %w", c.id, errdefs.ErrNotFound)
	}
	err := c.engine.signal(signal)
	if hasEnded(err) {
		return fmt.Errorf("the process of container %s has ended: %w", c.id, errdefs.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("signal container %s: %w", c.id, err)
	}
	return nil
}

// hasEnded reports whether an error of a signal says that there is no process to signal.
func hasEnded(err error) bool {
	return errors.Is(err, libcontainer.ErrNotRunning) || errors.Is(err, os.ErrProcessDone)
}

// delete removes a container whose process has ended. After an error it may be called again.
func (c *container) delete() error {
	if !c.hasExited() {
		return fmt.Errorf("the process of container %s has not ended: %w", c.id, errdefs.ErrFailedPrecondition)
	}
	c.deleting.Lock()
	defer c.deleting.Unlock()
	if err := c.unmake(); err != nil {
		return fmt.Errorf("delete container %s: %w", c.id, err)
	}
	return nil
}
