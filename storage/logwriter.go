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
	logs    *Logs
	segment segmentUploader

	mu     sync.Mutex
	spool  *spool
	closed bool
}

func newLogWriter(l *Logs, s *spool) *LogWriter {
	w := &LogWriter{logs: l, spool: s}
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
			"prefix", w.spool.Prefix, "stream", w.spool.Stream, "error", err)
	}
	w.segment.grown(w.spool.written)
	return len(p), nil
}

// Close stores the stream as one object and removes its segments. While S3 does not answer it tries again until ctx
// ends; then it returns the error beside the summary, and the spool stays for Recover. Only the first call does this.
func (w *LogWriter) Close(ctx context.Context) (LogSummary, error) {
	if !w.end() {
		return LogSummary{}, os.ErrClosed
	}
	w.segment.stop(ctx)
	summary, err := w.logs.store(ctx, w.spool, w.segment.began)
	return summary, errors.Join(err, w.drop(err == nil))
}

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
		err = w.logs.objects.removePrefix(ctx, w.logs.objects.config.LogBucket, w.spool.Prefix+w.spool.Stream+"/")
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
	defer w.logs.release(w)
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

// store puts a finished stream where it belongs, and removes its segments where there may be any. It may be repeated; the
// spool stays.
func (l *Logs) store(ctx context.Context, s *spool, segmented bool) (LogSummary, error) {
	content := s.content()
	hash := sha256.New()
	if _, err := io.Copy(hash, content); err != nil {
		return LogSummary{}, fmt.Errorf("read log spool: %w", err)
	}
	summary := LogSummary{
		Size: content.Size(), Total: s.total, Truncated: s.truncated(), SHA256: hex.EncodeToString(hash.Sum(nil)),
	}
	opts := minio.PutObjectOptions{
		ContentType:  "text/plain; charset=utf-8",
		UserMetadata: map[string]string{truncatedKey: fmt.Sprint(summary.Truncated)},
	}
	key := s.Prefix + s.Stream
	err := l.retry(ctx, func(ctx context.Context) error {
		if _, err := content.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := l.upload(ctx, key+".log", content, content.Size(), opts); err != nil || !segmented {
			return err
		}
		return l.objects.removePrefix(ctx, l.objects.config.LogBucket, key+"/")
	})
	return summary, err
}

const (
	uploadTimeout  = time.Minute
	retryPauseMin  = 250 * time.Millisecond
	retryPauseMax  = 10 * time.Second
	segmentTimeout = 15 * time.Second
)

// retry repeats what fails for the lack of S3 until ctx ends, and returns the last error then.
func (l *Logs) retry(ctx context.Context, do func(context.Context) error) error {
	for pause := retryPauseMin; ; pause = min(2*pause, retryPauseMax) {
		err := withTimeout(ctx, uploadTimeout, do)
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
func (l *Logs) upload(ctx context.Context, key string, r io.Reader, size int64, opts minio.PutObjectOptions) error {
	select {
	case l.uploads <- struct{}{}:
		defer func() { <-l.uploads }()
	case <-ctx.Done():
		return objectError("wait to store "+key, context.Cause(ctx))
	}
	return objectError("store "+key, l.objects.put(ctx, l.objects.config.LogBucket, key, r, size, opts))
}

func withTimeout(ctx context.Context, timeout time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return do(ctx)
}
