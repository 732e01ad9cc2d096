//go:build cgo

package shim

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sweepInterval is the time between two looks for orphans.
	sweepInterval = time.Second
	// sweepTime is how long an orphan may take to end after SIGKILL; the next look finds it again.
	sweepTime = 5 * time.Second
)

// sweep removes orphans: containers that containerd has given up. When a client goes away while its container is being
// made, containerd removes the container's bundle, and never asks for its end.
func (s *service) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, c := range s.orphans() {
				s.removeOrphan(c)
			}
		}
	}
}

func (s *service) removeOrphan(c *container) {
	if err := c.abandon(); err != nil {
		fmt.Fprintln(os.Stderr, "attune-shim: an orphan stays:", err)
		return
	}
	s.remove(c.id)
}

// abandon removes an orphan with what runs in it. After an error it may be called again.
func (c *container) abandon() error {
	if c.failed.Load() {
		c.deleting.Lock()
		defer c.deleting.Unlock()
		return c.unmake()
	}
	_ = c.kill(unix.SIGKILL) // most have ended
	select {
	case <-c.exited:
	case <-time.After(sweepTime):
	}
	return c.delete()
}

// orphans are the containers that were made and have no bundle any more, and what is left of those that could not be
// made.
func (s *service) orphans() (found []*container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		if c.failed.Load() {
			found = append(found, c)
		}
		if !c.made.Load() {
			continue
		}
		if _, err := os.Stat(c.bundle); os.IsNotExist(err) {
			found = append(found, c)
		}
	}
	return found
}
