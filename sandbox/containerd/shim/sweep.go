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
	// sweepInterval is the time between two looks for containers that nobody knows of.
	sweepInterval = time.Second
	// sweepTime is how long one that is killed may take to end; the next look finds it again.
	sweepTime = 5 * time.Second
)

// sweep removes containers that containerd has given up: when whoever asks for one goes away while it is being made, containerd
// removes its folder, and never asks for its end.
func (s *service) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, c := range s.givenUp() {
				_ = c.kill(unix.SIGKILL) // most have ended
				select {
				case <-c.exited:
				case <-time.After(sweepTime):
				}
				if err := c.delete(); err != nil {
					fmt.Fprintln(os.Stderr, "attune-shim: a container that nobody knows of stays:", err)
					continue
				}
				s.remove(c.id)
			}
		}
	}
}

func (s *service) givenUp() (found []*container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		if !c.made.Load() {
			continue
		}
		if _, err := os.Stat(c.bundle); os.IsNotExist(err) {
			found = append(found, c)
		}
	}
	return found
}
