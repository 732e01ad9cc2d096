package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"attune/internal/disk"
	"attune/sandbox"
	"attune/scheduler"
	"attune/storage"
	"attune/storage/logs"
)

// Config is what an Executor needs. Zero values take the defaults.
type Config struct {
	DB      *storage.DB
	Runtime sandbox.Runtime
	// Pool has sandboxes made ahead; nil has none.
	Pool *sandbox.Pool
	// HasImage reports whether an image is on this host.
	HasImage func(ctx context.Context, digest string) (bool, error)
	Logs     *logs.Store
	// StateDir is the folder of the runtime; its disk must have room, as that of the logs.
	StateDir string
	// Marks is a folder that notes which outcomes are being judged. New makes it.
	Marks string
	// LogBytes is the cap of a stream whose action sets none; its default is logs.DefaultStreamBytes.
	LogBytes int64
	// Grace is the time between SIGTERM and SIGKILL.
	Grace time.Duration
	Log   *slog.Logger
}

// DefaultGrace suits most actions.
const DefaultGrace = 5 * time.Second

// maxUploads is how many attempts store their logs at once.
const maxUploads = 16

// Executor runs each claim in a sandbox of its own.
type Executor struct {
	Config

	// full is what Ready saw last; one goroutine calls it.
	full bool
	// uploads holds a token for each attempt that stores its log.
	uploads chan struct{}
	// gone are the attempts that Recover has given up.
	gone []string
	// left wakes Maintain when an attempt has left its log in the spool.
	left chan struct{}
}

var _ scheduler.Executor = (*Executor)(nil)

// New checks the configuration and fills in defaults.
func New(c Config) (*Executor, error) {
	if c.LogBytes < 0 || c.Grace < 0 {
		return nil, fmt.Errorf("executor needs a log cap and a grace of at least 0, got %d and %s", c.LogBytes, c.Grace)
	}
	if c.LogBytes == 0 {
		c.LogBytes = logs.DefaultStreamBytes
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if err := os.MkdirAll(c.Marks, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of marks: %w", err)
	}
	return &Executor{Config: c, uploads: make(chan struct{}, maxUploads), left: make(chan struct{}, 1)}, nil
}

// Ready implements scheduler.Executor: the disks have bytes and inodes for more executions and their logs.
func (e *Executor) Ready() bool {
	err := errors.Join(e.Logs.Room(), disk.Check(e.StateDir))
	if full := err != nil; full != e.full {
		e.full = full
		if full {
			e.Log.Error("nothing is taken from the queue until the disk has room", "error", err)
		} else {
			e.Log.Info("the disk has room again")
		}
	}
	return err == nil
}
