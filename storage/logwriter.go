package storage

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

	"github.com/minio/minio-go/v7"

	"attune"
)

// LogSummary is what became of a stream.
type LogSummary struct {
	// Size is what is stored, Total what was written.
	Size  int64 `json:"size"`
	Total int64 `json:"total"`
	// Truncated tells that bytes between head and tail are missing.
	Truncated bool `json:"truncated"`
	// SHA256 is the lower-case hex digest of the stored object.
	SHA256 string `json:"sha256"`
}

// LogWriter is one stream that is being written. Write may be called by one goroutine while others read pages.
type LogWriter struct {
	logs *Logs
	// prefix is the one that the stream was created with; the spool's may become another at the end.
	prefix  string
	segment segmentUploader

	mu     sync.Mutex
	spool  *spool
	closed bool
	// stored: the spool is not needed any more.
	stored bool
}

func newLogWriter(l *Logs, s *spool) *LogWriter {
	w := &LogWriter{logs: l, prefix: s.Prefix, spool: s}
	w.segment.start(w)
	return w
}

// Write takes everything, in constant memory, and waits for the local disk at most, never for S3. A disk that refuses
// does not stop the stream either: the rest is counted and the stored log says so.
func (w *LogWriter) Write(p []byte) (int, error) {
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

// Close stores the stream as one object and removes its segments. While S3 does not answer it tries again until ctx
// ends; then it returns the error beside the summary, and the spool stays for Recover. Only the first call does this.
func (w *LogWriter) Close(ctx context.Context) (LogSummary, error) { return w.CloseAt(ctx, w.prefix) }

// CloseAt is Close, and the object goes below prefix instead: it is for an attempt that will be tried again, whose place
// is its AttemptPrefix.
func (w *LogWriter) CloseAt(ctx context.Context, prefix string) (LogSummary, error) {
	summary, err := w.StoreAt(ctx, prefix)
	return summary, errors.Join(err, w.Release())
}

// StoreAt is CloseAt without its end: until Release, a process that starts after a crash can Resume the stream, as if it had
// not been stored.
func (w *LogWriter) StoreAt(ctx context.Context, prefix string) (LogSummary, error) {
	if !w.end() {
		return LogSummary{}, os.ErrClosed
	}
	w.segment.stop(ctx)
	var moved error
	if prefix != w.spool.Prefix {
		moved = w.spool.redirect(prefix)
	}
	summary, err := w.logs.storeInTime(ctx, w.spool, w.segment.began)
	w.stored = err == nil
	w.logs.retire(w)
	return summary, errors.Join(err, moved)
}

// Release gives up the spool of a stream that StoreAt has stored, or leaves it to Recover where it has not.
func (w *LogWriter) Release() error { return w.drop(w.stored) }

// Discard forgets the stream: neither object nor spool is left of it. It is for work that will be done again.
func (w *LogWriter) Discard() error {
	if !w.end() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), segmentTimeout)
	defer cancel()
	w.segment.stop(ctx)
	var err error
	if w.segment.began {
		err = w.logs.removeSegments(ctx, w.spool)
	}
	return errors.Join(err, w.drop(true))
}

// end lets no more writes in; it is true once.
func (w *LogWriter) end() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := !w.closed
	w.closed = true
	return first
}

// drop closes the spool, and removes it when nothing of it is needed.
func (w *LogWriter) drop(remove bool) error {
	w.mu.Lock() // a page may be reading
	defer w.mu.Unlock()
	defer w.logs.giveBack(w.spool.file.Name())
	w.logs.retire(w)
	err := w.spool.close()
	if remove {
		err = errors.Join(err, w.spool.remove())
	}
	return err
}

// head reads what is stored so far of a stream that is being written; ok is false when it no longer is.
func (w *LogWriter) head(offset, limit int64) (piece []byte, total int64, truncated, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	total = w.spool.written
	offset = min(offset, total)
	piece = make([]byte, min(limit, total-offset))
	_, err := w.spool.file.ReadAt(piece, w.spool.at(offset))
	return piece, total, w.spool.truncated(), err == nil
}

// truncatedKey is the metadata of a stored stream that lacks bytes.
const truncatedKey = "Attune-Truncated"

// store puts a finished stream where it belongs, and removes its segments where there may be any. It tries once and may
// be repeated; the spool stays.
func (l *Logs) store(ctx context.Context, s *spool, segmented bool) (LogSummary, error) {
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	content := s.content()
	summary, err := s.summary(content)
	if err != nil {
		return summary, err
	}
	err = l.upload(ctx, s.Prefix+s.Stream+".log", content, content.Size(), minio.PutObjectOptions{
		ContentType:  "text/plain; charset=utf-8",
		UserMetadata: map[string]string{truncatedKey: strconv.FormatBool(summary.Truncated)},
	})
	if err != nil || !segmented {
		return summary, err
	}
	return summary, l.removeSegments(ctx, s)
}

// removeSegments removes those of this attempt; no other attempt ever has its own in the same place.
func (l *Logs) removeSegments(ctx context.Context, s *spool) error {
	return l.objects.removePrefix(ctx, l.objects.config.LogBucket, s.Segments+s.Stream+"/")
}

// summary reads content once and leaves it at its beginning.
func (s *spool) summary(content *io.SectionReader) (LogSummary, error) {
	hash := sha256.New()
	_, err := io.Copy(hash, content)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil {
		return LogSummary{}, fmt.Errorf("read log spool: %w", err)
	}
	return LogSummary{
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
func (l *Logs) storeInTime(ctx context.Context, s *spool, segmented bool) (LogSummary, error) {
	for pause := retryPauseMin; ; pause = min(2*pause, retryPauseMax) {
		summary, err := l.store(ctx, s, segmented)
		if attune.CodeOf(err) != attune.CodeUnavailable {
			return summary, err
		}
		select {
		case <-ctx.Done():
			return summary, err
		case <-time.After(pause):
		}
	}
}

// upload waits for its turn among maxUploads.
func (l *Logs) upload(ctx context.Context, key string, r io.Reader, size int64, opts minio.PutObjectOptions) error {
	select {
	case l.uploads <- struct{}{}:
		defer func() { <-l.uploads }()
	case <-ctx.Done():
		return objectError("wait to store "+key, context.Cause(ctx))
	}
	return objectError("store "+key, l.objects.put(ctx, l.objects.config.LogBucket, key, r, size, opts))
}
