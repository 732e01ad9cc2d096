package logs

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
)

// Summary is what became of a stream.
type Summary struct {
	// Size is what is stored, Total what was written.
	Size  int64 `json:"size"`
	Total int64 `json:"total"`
	// Truncated says that bytes between head and tail are missing.
	Truncated bool `json:"truncated"`
	// SHA256 is the lower-case hex digest of the stored object.
	SHA256 string `json:"sha256"`
}

// Writer is one stream that is being written. Write may be called by one goroutine while others read pages.
type Writer struct {
	store *Store
	// prefix is where readers find the stream; End may change it.
	prefix  string
	segment segmentUploader

	mu     sync.Mutex
	spool  *spool
	closed bool
	// summary is End's; unread is why there is none.
	summary Summary
	unread  error
}

func newWriter(l *Store, prefix string, s *spool) *Writer {
	w := &Writer{store: l, prefix: prefix, spool: s}
	w.segment.start(w, false)
	return w
}

// resumeWriter goes on with a spool that an earlier process has begun.
func resumeWriter(l *Store, prefix string, s *spool) *Writer {
	w := &Writer{store: l, prefix: prefix, spool: s}
	w.segment.start(w, true)
	w.segment.grown(s.written)
	return w
}

// Write takes everything, in constant memory, and waits for the local disk at most, never for S3. A disk that refuses
// does not stop the stream either: the rest is counted and the stored log says so.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, os.ErrClosed
	}
	if err := w.spool.write(p); err != nil {
		slog.Warn("the log spool cannot be written; the stream is cut",
			"prefix", w.prefix, "stream", w.spool.Stream, "error", err)
	}
	w.segment.grown(w.spool.written)
	return len(p), nil
}

// Close is End and Upload below the prefix that the stream was created with.
func (w *Writer) Close(ctx context.Context) (Summary, error) {
	summary, err := w.End(w.prefix)
	if errors.Is(err, os.ErrClosed) {
		return summary, err
	}
	return summary, errors.Join(err, w.Upload(ctx))
}

// End lets no more writes in and says what will be stored below prefix. It does not wait for S3. From here on, readers
// in this process find the whole stream; until Upload has stored it, a process that starts after a crash can Resume or
// Recover it. Only the first call does this. Upload or Leave must follow, whatever End returns.
func (w *Writer) End(prefix string) (Summary, error) {
	if !w.end() {
		return Summary{}, os.ErrClosed
	}
	var moved error
	if prefix != w.spool.Prefix { // an earlier process may have changed it
		moved = w.spool.redirect(prefix)
	}
	w.store.move(w, prefix)
	w.summary, w.unread = w.spool.summary()
	return w.summary, errors.Join(w.unread, moved)
}

// Upload stores a stream that has ended as one object, removes its segments, and gives up the spool. While S3 does not
// answer it tries again until ctx ends. Then it returns the error, and the spool stays for Recover, which also sets
// aside what S3 refuses for good. Either Upload or Leave is called, once.
func (w *Writer) Upload(ctx context.Context) error {
	w.segment.stop(ctx)
	if w.unread != nil {
		return w.drop(false)
	}
	err := w.store.storeInTime(ctx, w.spool, w.summary, w.segment.began)
	return errors.Join(err, w.drop(err == nil))
}

// Leave leaves a stream in the spool, for Recover to store.
func (w *Writer) Leave() error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	w.segment.stop(ended)
	return w.drop(false)
}

// end lets no more writes in and reports whether this call is the first.
func (w *Writer) end() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := !w.closed
	w.closed = true
	return first
}

// drop closes the spool, and removes it when nothing of it is needed.
func (w *Writer) drop(remove bool) error {
	w.mu.Lock() // a page may be reading
	defer w.mu.Unlock()
	defer w.store.giveBack(w.spool.file.Name())
	w.store.retire(w)
	err := w.spool.close()
	if remove {
		err = errors.Join(err, w.spool.remove())
	}
	return err
}

// read reads what has been written so far, and all of it once the stream has ended. It reports false when the writer
// has given up its spool.
func (w *Writer) read(offset, limit int64) (piece []byte, total int64, truncated, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	content := w.spool.head()
	if w.closed {
		content = w.spool.content()
	}
	total = content.Size()
	offset = min(offset, total)
	piece = make([]byte, min(limit, total-offset))
	_, err := content.ReadAt(piece, offset)
	return piece, total, w.spool.truncated(), err == nil || len(piece) == 0
}

// written is the length of the head so far.
func (w *Writer) written() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.spool.written
}
