package logs

import (
	"context"
	"errors"
	"iter"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"attune"
	"attune/storage/s3"
)

// Sizes of a log page.
const (
	DefaultPageBytes = 64 << 10
	MaxPageBytes     = 1 << 20
)

// Page reads a piece of a stream, also while it is being written; a stream that nobody wrote is empty. limit is
// DefaultPageBytes when 0 and at most MaxPageBytes. An offset behind the end becomes the end. running tells that more
// may follow, so that a character whose bytes have not all arrived is left for the next page.
func (l *Store) Page(ctx context.Context, prefix, stream string, offset, limit int64, running bool) (attune.LogPage, error) {
	if limit <= 0 {
		limit = DefaultPageBytes
	}
	r := pageReader{
		store: l, prefix: prefix, stream: stream, running: running, offset: max(offset, 0),
		limit: min(max(limit, utf8.UTFMax), MaxPageBytes), // less than a character could never move on
	}
	if w := l.writer(prefix, stream); w != nil {
		if piece, total, truncated, ok := w.read(r.offset, r.limit); ok {
			return r.page(piece, total, truncated), nil
		}
	}
	// Between a look for the whole object and one for its segments the stream may be finished, and be neither.
	for range 3 {
		for _, read := range []func(context.Context) (attune.LogPage, error){r.fromObject, r.fromSegments} {
			page, err := read(ctx)
			if err == nil || !errors.Is(err, s3.ErrMissing) {
				return page, err
			}
		}
	}
	return attune.LogPage{}, nil
}

// AwaitStored returns when a stream that has ended can be read whole: another process may still be about to store it. It waits
// until ctx ends at most.
func (l *Store) AwaitStored(ctx context.Context, prefix, stream string) {
	for l.writer(prefix, stream) == nil {
		_, err := l.bucket.Stat(ctx, prefix+stream+".log")
		if !errors.Is(err, s3.ErrMissing) {
			return // it is there, or the reader meets the error
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(storedPause):
		}
	}
}

// storedPause is the time between two looks for a stream that is about to be stored.
const storedPause = 50 * time.Millisecond

// pageReader is one request for a page. Its from methods fail with s3.ErrMissing where there is nothing to read.
type pageReader struct {
	store          *Store
	prefix, stream string
	// below is the prefix of the attempt whose segments are read.
	below         string
	offset, limit int64
	running       bool
}

func (r *pageReader) fromObject(ctx context.Context) (attune.LogPage, error) {
	key := r.prefix + r.stream + ".log"
	info, err := r.store.bucket.Stat(ctx, key)
	if err != nil {
		return attune.LogPage{}, err
	}
	offset := min(r.offset, info.Size)
	piece, err := r.read(ctx, nil, key, offset, min(r.limit, info.Size-offset))
	r.running = false
	return r.page(piece, info.Size, info.Metadata[truncatedKey] == "true"), err
}

// fromSegments reads those of the newest attempt that has any.
func (r *pageReader) fromSegments(ctx context.Context) (attune.LogPage, error) {
	attempt, err := r.newestAttempt(ctx)
	if err != nil {
		return attune.LogPage{}, err
	}
	if attempt > 1 {
		r.below = segmentsPrefix(r.prefix, attempt)
		if page, err := r.fromSegmentsBelow(ctx); err == nil || !errors.Is(err, s3.ErrMissing) {
			return page, err
		}
	}
	r.below = r.prefix
	return r.fromSegmentsBelow(ctx)
}

// newestAttempt is the highest number that an attempt's folder has; 0 when there is none.
func (r *pageReader) newestAttempt(ctx context.Context) (newest int, err error) {
	folders := r.prefix + attemptFolder
	for folder, err := range r.store.bucket.List(ctx, folders, s3.ListOptions{}) {
		if err != nil {
			return 0, err
		}
		attempt, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(folder.Key, folders), "/"))
		if err == nil {
			newest = max(newest, attempt)
		}
	}
	return newest, nil
}

func (r *pageReader) fromSegmentsBelow(ctx context.Context) (attune.LogPage, error) {
	if r.offset < segmentBytes {
		return r.fromSegmentsBehind(ctx, "")
	}
	// No segment that begins before this one reaches to the offset.
	page, err := r.fromSegmentsBehind(ctx, segmentKey(r.below, r.stream, r.offset-segmentBytes))
	if errors.Is(err, s3.ErrMissing) {
		// The offset may lie far behind the end; only the whole list tells where that is.
		return r.fromSegmentsBehind(ctx, "")
	}
	return page, err
}

func (r *pageReader) fromSegmentsBehind(ctx context.Context, after string) (attune.LogPage, error) {
	var piece []byte
	var total int64
	for s, err := range r.segments(ctx, after) {
		if err != nil {
			return attune.LogPage{}, err
		}
		total = s.end()
		next := r.offset + int64(len(piece))
		if want := min(r.limit-int64(len(piece)), s.end()-next); want > 0 {
			if s.offset > next {
				return attune.LogPage{}, s3.ErrMissing
			}
			if piece, err = r.read(ctx, piece, s.key, next-s.offset, want); err != nil {
				return attune.LogPage{}, err
			}
		}
	}
	if total == 0 {
		return attune.LogPage{}, s3.ErrMissing
	}
	return r.page(piece, total, false), nil
}

type segment struct {
	key          string
	offset, size int64
}

func (s segment) end() int64 { return s.offset + s.size }

// segments lists those that come behind the key after, in order.
func (r *pageReader) segments(ctx context.Context, after string) iter.Seq2[segment, error] {
	return func(yield func(segment, error) bool) {
		for object, err := range r.store.bucket.List(ctx, r.below+r.stream+"/", s3.ListOptions{After: after}) {
			if err != nil {
				yield(segment{}, err)
				return
			}
			offset, err := strconv.ParseInt(strings.TrimSuffix(path.Base(object.Key), ".log"), 10, 64)
			if err != nil {
				continue // not one of ours
			}
			if !yield(segment{object.Key, offset, object.Size}, nil) {
				return
			}
		}
	}
}

// read appends size bytes of an object to piece.
func (r *pageReader) read(ctx context.Context, piece []byte, key string, offset, size int64) ([]byte, error) {
	old := len(piece)
	piece = append(piece, make([]byte, size)...)
	return piece, r.store.bucket.ReadAt(ctx, key, piece[old:], offset)
}

// page makes text of the bytes at the offset. A character that they only begin is left for the next page.
func (r *pageReader) page(piece []byte, total int64, truncated bool) attune.LogPage {
	offset := min(r.offset, total)
	if r.running || offset+int64(len(piece)) < total {
		piece = piece[:len(piece)-partialRune(piece)]
	}
	return attune.LogPage{
		Content: strings.ToValidUTF8(string(piece), "\uFFFD"),
		Offset:  offset, NextOffset: offset + int64(len(piece)), TotalSize: total, Truncated: truncated,
	}
}

// partialRune is the number of bytes at the end of b that begin a character and do not complete it.
func partialRune(b []byte) int {
	for n := 1; n <= min(len(b), utf8.UTFMax-1); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}
