package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"attune/internal/inodes"
	"attune/storage/s3"
)

// DefaultStreamBytes is the cap of a stream that has none of its own.
const DefaultStreamBytes = 10 << 20

// maxUploads bounds how many streams talk to S3 at once: each holds the buffers of a request, however many streams
// there are.
const maxUploads = 8

// Store writes and reads the output streams of executions and installations (contract 5).
type Store struct {
	bucket  *s3.Bucket
	spool   string
	uploads chan struct{}

	mu sync.Mutex
	// active are the streams that this process writes, by prefix and name, and busy the spool files in use.
	active map[string]*Writer
	busy   map[string]bool
}

// Open uses the folder spool, which it makes when missing, as the buffer between streams and S3. Only one process at
// a time may use it.
func Open(bucket *s3.Bucket, spool string) (*Store, error) {
	if err := makeSpool(spool); err != nil {
		return nil, fmt.Errorf("make log spool: %w", err)
	}
	return &Store{
		bucket:  bucket,
		spool:   spool,
		uploads: make(chan struct{}, maxUploads),
		active:  make(map[string]*Writer),
		busy:    make(map[string]bool),
	}, nil
}

// spoolFolders is what spool files are spread over, one for each pair of digits that their names end in.
const spoolFolders = 256

func makeSpool(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	inodes.Spread(dir)
	for n := range spoolFolders {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprintf("%02x", n)), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// newSpoolPath is where another spool file may be made.
func (l *Store) newSpoolPath() string {
	id := uuid.Must(uuid.NewV7()).String()
	return filepath.Join(l.spool, id[len(id)-2:], id+spoolSuffix)
}

// Free is how many bytes the spool's file system has left. A stream that finds it full is cut, so that whoever begins
// streams looks first.
func (l *Store) Free() (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(l.spool, &stat); err != nil {
		return 0, fmt.Errorf("look at the log spool: %w", err)
	}
	return int64(stat.Bavail) * stat.Bsize, nil
}

// ExecutionPrefix is where the objects of an execution lie; name is the action's, without its pack.
func ExecutionPrefix(pack, name string, created time.Time, id string) string {
	return fmt.Sprintf("executions/%s/%s/%s/%s/", pack, name, created.UTC().Format("2006/01/02"), id)
}

// AttemptPrefix is where the objects of an attempt that was tried again lie, below the prefix of its execution. Those of
// the last attempt are not here but at the execution's prefix itself.
func AttemptPrefix(prefix string, attempt int) string {
	return fmt.Sprintf("%s%s%d/", prefix, attemptFolder, attempt)
}

const attemptFolder = "attempt-"

// InstallationStream is the only stream of an installation's log.
const InstallationStream = "install"

// InstallationPrefix is where the log of an installation lies.
func InstallationPrefix(pack, id string) string { return "installations/" + pack + "/" + id + "/" }

// Create begins a stream, such as "stdout", of which the first capacity bytes and the end are kept; 0 takes
// DefaultStreamBytes. The caller closes it.
func (l *Store) Create(prefix, stream string, capacity int64) (*Writer, error) {
	return l.CreateAttempt(prefix, 1, stream, capacity)
}

// CreateAttempt is Create for an attempt of an execution, counted from 1, whose prefix it is given. While it is written,
// the segments of the first attempt lie at that prefix and those of any other at its AttemptPrefix. So an earlier attempt
// that is stored late, after a crash or an outage, cannot touch what a later one has written.
func (l *Store) CreateAttempt(prefix string, attempt int, stream string, capacity int64) (*Writer, error) {
	if capacity <= 0 {
		capacity = DefaultStreamBytes
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active[prefix+stream] != nil {
		return nil, fmt.Errorf("the stream %s%s is already being written", prefix, stream)
	}
	spool, err := createSpool(l.newSpoolPath(), spoolHeader{
		Prefix: prefix, Segments: segmentsPrefix(prefix, attempt), Stream: stream, Cap: capacity,
	})
	if err != nil {
		return nil, err
	}
	w := newWriter(l, spool)
	l.active[prefix+stream] = w
	l.busy[spool.file.Name()] = true
	return w, nil
}

// segmentsPrefix is below which the segments of an attempt lie.
func segmentsPrefix(prefix string, attempt int) string {
	if attempt <= 1 {
		return prefix
	}
	return AttemptPrefix(prefix, attempt)
}

// move lets readers find a stream that has ended at another prefix: the one that it had may be another attempt's now.
func (l *Store) move(w *Writer, prefix string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active[w.prefix+w.spool.Stream] == w {
		delete(l.active, w.prefix+w.spool.Stream)
	}
	w.prefix = prefix
	l.active[prefix+w.spool.Stream] = w
}

// retire lets readers turn to what is stored of a stream.
func (l *Store) retire(w *Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active[w.prefix+w.spool.Stream] == w {
		delete(l.active, w.prefix+w.spool.Stream)
	}
}

func (l *Store) writer(prefix, stream string) *Writer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active[prefix+stream]
}
