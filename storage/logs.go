package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"attune"
)

// DefaultLogBytes is the cap of a stream that has none of its own.
const DefaultLogBytes = 10 << 20

// maxUploads bounds how many streams talk to S3 at once: each holds the buffers of a request, however many streams
// there are.
const maxUploads = 8

// Logs writes and reads the output streams of executions and installations (contract 5).
type Logs struct {
	objects *Objects
	spool   string
	uploads chan struct{}

	mu sync.Mutex
	// active are the streams that this process writes, by prefix and name, and busy the spool files in use.
	active map[string]*LogWriter
	busy   map[string]bool
}

// OpenLogs uses the folder spool, which it makes when missing, as the buffer between streams and S3. Only one process at
// a time may use it.
func OpenLogs(objects *Objects, spool string) (*Logs, error) {
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return nil, fmt.Errorf("make log spool: %w", err)
	}
	return &Logs{
		objects: objects,
		spool:   spool,
		uploads: make(chan struct{}, maxUploads),
		active:  make(map[string]*LogWriter),
		busy:    make(map[string]bool),
	}, nil
}

// Free is how many bytes the spool's file system has left. A stream that finds it full is cut, so that whoever begins
// streams looks first.
func (l *Logs) Free() (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(l.spool, &fs); err != nil {
		return 0, fmt.Errorf("look at the log spool: %w", err)
	}
	return int64(fs.Bavail) * fs.Bsize, nil
}

// ExecutionPrefix is where the objects of an execution lie; name is the action's, without its pack.
func ExecutionPrefix(pack, name string, created time.Time, id string) string {
	return fmt.Sprintf("executions/%s/%s/%s/%s/", pack, name, created.UTC().Format("2006/01/02"), id)
}

// InstallationPrefix is where the log of an installation lies.
func InstallationPrefix(pack, id string) string { return "installations/" + pack + "/" + id + "/" }

// Create begins a stream, such as "stdout", of which the first capacity bytes and the end are kept; 0 takes
// DefaultLogBytes. The caller closes it.
func (l *Logs) Create(prefix, stream string, capacity int64) (*LogWriter, error) {
	if capacity <= 0 {
		capacity = DefaultLogBytes
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active[prefix+stream] != nil {
		return nil, fmt.Errorf("the stream %s%s is already being written", prefix, stream)
	}
	spool, err := createSpool(l.spool, spoolHeader{Prefix: prefix, Stream: stream, Cap: capacity})
	if err != nil {
		return nil, err
	}
	w := newLogWriter(l, spool)
	l.active[prefix+stream] = w
	l.busy[spool.file.Name()] = true
	return w, nil
}

// release lets Recover have the spool of a stream that is not written any more.
func (l *Logs) release(w *LogWriter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.active, w.spool.Prefix+w.spool.Stream)
	delete(l.busy, w.spool.file.Name())
}

func (l *Logs) writer(prefix, stream string) *LogWriter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active[prefix+stream]
}

// Recover stores the streams that are left in the spool because an earlier process died or S3 did not answer when they
// were closed. Call it at the start and from time to time. It stops at the first sign that S3 is away.
func (l *Logs) Recover(ctx context.Context) error {
	paths, err := filepath.Glob(filepath.Join(l.spool, "*"+spoolSuffix))
	if err != nil {
		return fmt.Errorf("list log spool: %w", err)
	}
	var failed []error
	for _, path := range paths {
		if !l.take(path) {
			continue
		}
		err := l.recover(ctx, path)
		l.giveBack(path)
		if err == nil {
			continue
		}
		failed = append(failed, err)
		if attune.CodeOf(err) == attune.CodeUnavailable || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func (l *Logs) recover(ctx context.Context, path string) error {
	spool, err := openSpool(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was finished since it was listed
	}
	if errors.Is(err, errNoHeader) {
		return os.Remove(path)
	}
	if err != nil {
		return err
	}
	if spool.Document != "" {
		ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
		defer cancel()
		err = l.sendJSON(ctx, spool.Document, io.NewSectionReader(spool.file, headerBytes, spool.total), spool.total)
	} else {
		_, err = l.store(ctx, spool, true)
	}
	if err := errors.Join(err, spool.close()); err != nil {
		return err
	}
	slog.InfoContext(ctx, "stored what was left in the spool",
		"prefix", spool.Prefix, "stream", spool.Stream, "document", spool.Document, "size", spool.total)
	return spool.remove()
}

// take reserves a spool file, unless it is in use.
func (l *Logs) take(path string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[path] {
		return false
	}
	l.busy[path] = true
	return true
}

func (l *Logs) giveBack(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, path)
}
