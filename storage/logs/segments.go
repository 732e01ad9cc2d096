package logs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"attune/storage/s3"
)

const (
	// segmentBytes is the most that one segment holds. Readers rely on it.
	segmentBytes = 1 << 20
	// A segment is cut when segmentBytes are there, or after a pause that grows with the age of the stream, so that a
	// slow log that lasts for days does not become a hundred thousand objects.
	segmentPauseMin = 250 * time.Millisecond
	segmentPauseMax = 10 * time.Second
	segmentPauses   = 100
)

// segmentKey names the piece of a running stream that begins at offset; names sort as offsets do.
func segmentKey(prefix, stream string, offset int64) string {
	return fmt.Sprintf("%s%s/%020d.log", prefix, stream, offset)
}

// segmentUploader copies the head of a stream from the spool to S3 while it is being written. When S3 is slow or away it
// falls behind, and the spool holds what is missing.
type segmentUploader struct {
	// dirty: there is something new. full: there is enough for a whole segment.
	dirty, full chan struct{}
	// stopping asks for the end after the request under way; cancel cuts that off, too.
	stopping chan struct{}
	cancel   context.CancelFunc
	done     chan struct{}
	sent     atomic.Int64
	// began is set when S3 may have a segment; it is read after stop.
	began bool
	// resumed: an earlier process has begun, and how far it came is not known yet.
	resumed bool
}

func (u *segmentUploader) start(w *Writer) {
	ctx, cancel := context.WithCancel(context.Background())
	*u = segmentUploader{
		resumed: u.resumed, began: u.resumed,
		dirty: make(chan struct{}, 1), full: make(chan struct{}, 1),
		stopping: make(chan struct{}), cancel: cancel, done: make(chan struct{}),
	}
	go func() {
		defer close(u.done)
		u.run(ctx, w)
	}()
}

// stop returns when no request is under way: one that lands after the segments were removed would stay for ever.
func (u *segmentUploader) stop(ctx context.Context) {
	close(u.stopping)
	select {
	case <-u.done:
	case <-ctx.Done():
	}
	u.cancel()
	<-u.done
}

// grown is told how long the head is after each write.
func (u *segmentUploader) grown(written int64) {
	pending := written - u.sent.Load()
	if pending > 0 {
		signal(u.dirty)
	}
	if pending >= segmentBytes {
		signal(u.full)
	}
}

func (u *segmentUploader) run(ctx context.Context, w *Writer) {
	begin := time.Now()
	backoff := retryPauseMin
	for {
		select {
		case <-u.stopping:
			return
		case <-u.dirty:
		}
		if u.pause(segmentPause(time.Since(begin)), u.full) {
			return
		}
		for !u.caughtUp(w) {
			if err := u.send(ctx, w); err == nil {
				backoff = retryPauseMin
				continue
			} else if backoff == retryPauseMin {
				slog.WarnContext(ctx, "a piece of a log waits for S3", "prefix", w.spool.Segments, "stream", w.spool.Stream, "error", err)
			}
			if u.pause(backoff, nil) {
				return
			}
			backoff = min(2*backoff, retryPauseMax)
		}
	}
}

// segmentPause is how long a stream of this age gathers before it cuts a segment.
func segmentPause(age time.Duration) time.Duration {
	return min(max(age/segmentPauses, segmentPauseMin), segmentPauseMax)
}

// pause ends early when it is interrupted, and returns true when the uploader is to stop.
func (u *segmentUploader) pause(d time.Duration, interrupt <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-u.stopping:
		return true
	case <-timer.C:
	case <-interrupt:
	}
	return false
}

func (u *segmentUploader) caughtUp(w *Writer) bool {
	select {
	case <-u.stopping:
		return true // Close stores the whole stream
	default:
		return u.sent.Load() == w.written()
	}
}

// catchUp learns how far an earlier process came.
func (u *segmentUploader) catchUp(ctx context.Context, w *Writer) error {
	sent := int64(0)
	earlier := pageReader{store: w.store, below: w.spool.Segments, stream: w.spool.Stream}
	for s, err := range earlier.segments(ctx, "") {
		if err != nil {
			return err
		}
		sent = s.end()
	}
	u.sent.Store(sent)
	u.resumed = false
	return nil
}

// send stores the next segment.
func (u *segmentUploader) send(ctx context.Context, w *Writer) error {
	offset := u.sent.Load()
	size := min(w.written()-offset, segmentBytes)
	u.began = true
	s := w.spool
	ctx, cancel := context.WithTimeout(ctx, segmentTimeout)
	defer cancel()
	if u.resumed {
		return u.catchUp(ctx, w)
	}
	err := w.store.upload(ctx, segmentKey(s.Segments, s.Stream, offset), io.NewSectionReader(s.file, s.at(offset), size), size,
		s3.PutOptions{ContentType: "text/plain; charset=utf-8"})
	if err == nil {
		u.sent.Add(size)
	}
	return err
}

// written is the length of the head so far.
func (w *Writer) written() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.spool.written
}

// signal never blocks: a signal that waits to be received stands for this one too.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
