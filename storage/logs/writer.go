package logs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"attune"
	"attune/storage/s3"
)

// Summary is what became of a stream.
type Summary struct {
	// Size is what is stored, Total what was written.
	Size  int64 `json:"size"`
	Total int64 `json:"total"`
	// Truncated tells that bytes between head and tail are missing.
	Truncated bool `json:"truncated"`
	// SHA256 is the lower-case hex digest of the stored object.
	SHA256 string `json:"sha256"`
}

// Writer is one stream that is being written. Write may be called by one goroutine while others read pages.
type Writer struct {
	store *Store
	// prefix is where readers find the stream; it may become another at the end.
	prefix  string
	segment segmentUploader

	mu     sync.Mutex
	spool  *spool
	closed bool
	// summary is End's, unless the spool was unread for a reason.
	summary Summary
	unread  error
}

func newWriter(l *Store, s *spool) *Writer {
	w := &Writer{store: l, prefix: s.Prefix, spool: s}
	w.segment.start(w)
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

// End lets no more writes in and says what will be stored below prefix. It does not wait for S3. Readers in this
// process find the whole stream from here on; until Upload has stored it, a process that starts after a crash can
// Resume it, or Recover it. Only the first call does this, and Upload comes after it, whatever it says.
func (w *Writer) End(prefix string) (Summary, error) {
	if !w.end() {
		return Summary{}, os.ErrClosed
	}
	var moved error
	if prefix != w.spool.Prefix { // which an earlier process may have changed
		moved = w.spool.redirect(prefix)
	}
	w.store.move(w, prefix)
	w.summary, w.unread = w.spool.summary(w.spool.content())
	return w.summary, errors.Join(w.unread, moved)
}

// Upload stores a stream that has been ended as one object, removes its segments, and gives up the spool. While S3 does
// not answer it tries again until ctx ends; then it returns the error, and the spool stays for Recover. Either Upload
// or Leave is called, once.
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

// end lets no more writes in; it is true once.
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

// read reads what is there so far of a stream whose writer is active, and all of it when it has ended; ok is false when
// the writer has given it up.
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

// truncatedKey is the metadata of a stored stream that lacks bytes.
const truncatedKey = "Attune-Truncated"

// store puts a finished stream where it belongs, and removes its segments where there may be any. It tries once and may
// be repeated; the spool stays.
func (l *Store) store(ctx context.Context, s *spool, summary Summary, segmented bool) error {
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	content := s.content()
	err := l.upload(ctx, s.Prefix+s.Stream+".log", content, content.Size(), s3.PutOptions{
		ContentType: "text/plain; charset=utf-8",
		Metadata:    map[string]string{truncatedKey: strconv.FormatBool(summary.Truncated)},
	})
	if err != nil || !segmented {
		return err
	}
	return l.removeSegments(ctx, s)
}

// removeSegments removes those of this attempt; no other attempt ever has its own in the same place.
func (l *Store) removeSegments(ctx context.Context, s *spool) error {
	return l.bucket.RemovePrefix(ctx, s.Segments+s.Stream+"/")
}

// summary reads content once.
func (s *spool) summary(content *io.SectionReader) (Summary, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, content); err != nil {
		return Summary{}, fmt.Errorf("read log spool: %w", err)
	}
	return Summary{
		Size: content.Size(), Total: s.total, Truncated: s.truncated(), SHA256: hex.EncodeToString(hash.Sum(nil)),
	}, nil
}

const (
	uploadTimeout  = time.Minute
	retryPauseMin  = 250 * time.Millisecond
	retryPauseMax  = 10 * time.Second
	segmentTimeout = 15 * time.Second
)

// storeInTime repeats store while S3 does not answer, until ctx ends.
func (l *Store) storeInTime(ctx context.Context, s *spool, summary Summary, segmented bool) error {
	for pause := retryPauseMin; ; pause = min(2*pause, retryPauseMax) {
		err := l.store(ctx, s, summary, segmented)
		if attune.CodeOf(err) != attune.CodeUnavailable {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// upload waits for its turn among maxUploads.
func (l *Store) upload(ctx context.Context, key string, r io.Reader, size int64, opts s3.PutOptions) error {
	select {
	case l.uploads <- struct{}{}:
		defer func() { <-l.uploads }()
	case <-ctx.Done():
		return s3.Translate("wait to store "+key, context.Cause(ctx))
	}
	return l.bucket.Put(ctx, key, r, size, opts)
}
