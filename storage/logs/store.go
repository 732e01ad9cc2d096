package logs

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/uuid"

	"attune/internal/disk"
	"attune/internal/inodes"
	"attune/storage/s3"
)

// DefaultStreamBytes is the cap of a stream that has none of its own.
const DefaultStreamBytes = 10 << 20

// maxUploads bounds how many streams talk to S3 at once: each holds the buffers of a request, however many streams
// there are.
const maxUploads = 8

// Store writes and reads the output streams of executions and installations.
type Store struct {
	bucket  *s3.Bucket
	spool   string
	uploads chan struct{}
	// refusing is held while the folder of refused files changes.
	refusing sync.Mutex

	mu sync.Mutex
	// active holds the streams that this process writes, by prefix and name.
	active map[string]*Writer
	// busy holds the paths of the spool files in use.
	busy map[string]bool
}

// Open uses the folder spool, which it makes when missing, as the buffer between streams and the bucket. Only one
// process at a time may use it.
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

// spoolFolders is the number of folders that spool files are spread over, each with a name of two digits.
const spoolFolders = 256

func makeSpool(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	inodes.Spread(dir)
	folders := []string{refusedFolder}
	for n := range spoolFolders {
		folders = append(folders, fmt.Sprintf("%02x", n))
	}
	for _, name := range folders {
		err := os.Mkdir(filepath.Join(dir, name), 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return syncFolder(dir)
}

// newSpoolPath is the path of a new spool file. What has one prefix is in one folder, so that Sync asks for few.
func (l *Store) newSpoolPath(prefix string) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(prefix))
	return filepath.Join(l.spool, fmt.Sprintf("%02x", sum.Sum32()%spoolFolders),
		uuid.Must(uuid.NewV7()).String()+spoolSuffix)
}

// spooled lists the paths of all spool files, those in use too.
func (l *Store) spooled() ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(l.spool, "[0-9a-f][0-9a-f]", "*"+spoolSuffix))
	if err != nil {
		return nil, fmt.Errorf("list log spool: %w", err)
	}
	earlier, err := filepath.Glob(filepath.Join(l.spool, "*"+spoolSuffix)) // of versions that had no folders there
	if err != nil {
		return nil, fmt.Errorf("list log spool: %w", err)
	}
	return append(earlier, paths...), nil
}

// Room returns an error while the spool's file system is full, or nearly so. A stream that finds it full is cut, so
// look before starting what writes one.
func (l *Store) Room() error { return disk.Check(l.spool) }

// Create begins a stream, such as "stdout", of which the first capacity bytes and the end are kept; 0 takes
// DefaultStreamBytes. The caller closes it.
func (l *Store) Create(prefix, stream string, capacity int64) (*Writer, error) {
	return l.CreateAttempt(prefix, 1, stream, capacity)
}

// CreateAttempt is Create for an attempt of an execution, counted from 1; prefix is the execution's. While the stream
// is written, the segments of the first attempt are at that prefix and those of any other at its AttemptPrefix. So an
// earlier attempt that is stored late, after a crash or an outage, cannot touch what a later one has written.
func (l *Store) CreateAttempt(prefix string, attempt int, stream string, capacity int64) (*Writer, error) {
	if capacity <= 0 {
		capacity = DefaultStreamBytes
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active[prefix+stream] != nil {
		return nil, fmt.Errorf("the stream %s%s is already being written", prefix, stream)
	}
	spool, err := createSpool(l.newSpoolPath(prefix), spoolHeader{
		Prefix: prefix, Segments: segmentsPrefix(prefix, attempt), Stream: stream, Cap: capacity,
	})
	if err != nil {
		return nil, err
	}
	w := newWriter(l, prefix, spool)
	l.active[prefix+stream] = w
	l.busy[spool.file.Name()] = true
	return w, nil
}

// move lets readers find a stream that has ended at another prefix. The one that it had may be another attempt's now.
func (l *Store) move(w *Writer, prefix string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deactivate(w)
	w.prefix = prefix
	l.active[prefix+w.spool.Stream] = w
}

// retire lets readers turn to what is stored of a stream.
func (l *Store) retire(w *Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deactivate(w)
}

func (l *Store) deactivate(w *Writer) {
	if l.active[w.prefix+w.spool.Stream] == w {
		delete(l.active, w.prefix+w.spool.Stream)
	}
}

func (l *Store) writer(prefix, stream string) *Writer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active[prefix+stream]
}

// take reserves a spool file, unless it is in use.
func (l *Store) take(path string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[path] {
		return false
	}
	l.busy[path] = true
	return true
}

func (l *Store) giveBack(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, path)
}
