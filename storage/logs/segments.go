package logs

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"attune/internal/retry"
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
	// segmentTimeout bounds one request.
	segmentTimeout = 15 * time.Second
)

// segmentUploader copies the head of a stream from the spool to S3 while it is being written. When S3 is slow or away
// it falls behind, and the spool holds what is missing.
type segmentUploader struct {
	// dirty: there is something new. full: there is enough for a whole segment.
	dirty, full chan struct{}
	// finish asks for the end after the request under way; abort cuts that off, too.
	finish, abort context.CancelFunc
	done          chan struct{}
	// sent is how far the segments in S3 reach.
	sent atomic.Int64
	// began is set when S3 may have a segment; it is read after stop.
	began bool
	// resumed: an earlier process has begun, and how far it came is not known yet.
	resumed bool
}

// start begins the upload; resumed says that an earlier process has begun it.
func (u *segmentUploader) start(w *Writer, resumed bool) {
	running, finish := context.WithCancel(context.Background())
	requests, abort := context.WithCancel(context.Background())
	u.dirty, u.full, u.done = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
	u.finish, u.abort = finish, abort
	u.began, u.resumed = resumed, resumed
	go func() {
		defer close(u.done)
		u.run(running, requests, w)
	}()
}

// stop returns when no request is under way: a segment that lands after the others were removed would stay forever.
func (u *segmentUploader) stop(ctx context.Context) {
	u.finish()
	select {
	case <-u.done:
	case <-ctx.Done():
	}
	u.abort()
	<-u.done
}

// grown takes note of the length of the head after each write.
func (u *segmentUploader) grown(written int64) {
	pending := written - u.sent.Load()
	if pending > 0 {
		signal(u.dirty)
	}
	if pending >= segmentBytes {
		signal(u.full)
	}
}

// run uploads until running ends, with requests that last until that context ends.
func (u *segmentUploader) run(running, requests context.Context, w *Writer) {
	begin := time.Now()
	for {
		select {
		case <-running.Done():
			return
		case <-u.dirty:
		}
		u.gather(running, segmentPause(time.Since(begin)))
		for running.Err() == nil && u.sent.Load() < w.written() {
			u.sendInTime(running, requests, w)
		}
	}
}

// segmentPause is how long a stream of this age gathers before it cuts a segment.
func segmentPause(age time.Duration) time.Duration {
	return min(max(age/segmentPauses, segmentPauseMin), segmentPauseMax)
}

// gather waits for more, so that segments are few.
func (u *segmentUploader) gather(running context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-running.Done():
	case <-timer.C:
	case <-u.full:
	}
}

// sendInTime repeats send while it fails, until running ends. It logs the first failure only.
func (u *segmentUploader) sendInTime(running, requests context.Context, w *Writer) {
	logged := false
	_ = retry.Do(running, retry.Pauses(retryPauseMin, retryPauseMax), func() error { // the whole stream is stored later
		return u.send(requests, w)
	}, func(err error, _ time.Duration) {
		if logged {
			return
		}
		logged = true
		slog.WarnContext(running, "a piece of a log waits for S3",
			"prefix", w.spool.Segments, "stream", w.spool.Stream, "error", err)
	})
}

// send stores the next segment, or learns what an earlier process has stored.
func (u *segmentUploader) send(ctx context.Context, w *Writer) error {
	ctx, cancel := context.WithTimeout(ctx, segmentTimeout)
	defer cancel()
	if u.resumed {
		return u.catchUp(ctx, w)
	}
	u.began = true
	s, offset := w.spool, u.sent.Load()
	size := min(w.written()-offset, segmentBytes)
	err := w.store.upload(ctx, segmentKey(s.Segments, s.Stream, offset),
		io.NewSectionReader(s.file, s.at(offset), size), size, s3.PutOptions{ContentType: textType})
	if err == nil {
		u.sent.Add(size)
	}
	return err
}

// catchUp learns how far the segments of an earlier process reach.
func (u *segmentUploader) catchUp(ctx context.Context, w *Writer) error {
	sent := int64(0)
	for s, err := range w.store.segments(ctx, segmentFolder(w.spool.Segments, w.spool.Stream), "") {
		if err != nil {
			return err
		}
		sent = s.end()
	}
	u.sent.Store(sent)
	u.resumed = false
	return nil
}

// signal never blocks: a signal that waits to be received stands for this one too.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
