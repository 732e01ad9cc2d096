package logs

import (
	"context"
	"errors"
	"iter"
	"path"
	"strconv"
	"strings"

	"attune"
	"attune/storage/s3"
)

// fromObject reads the stream that was stored when it had ended.
func (r *pageReader) fromObject(ctx context.Context) (attune.LogPage, error) {
	key := r.prefix + r.stream + logSuffix
	info, err := r.store.bucket.Stat(ctx, key)
	if err != nil {
		return attune.LogPage{}, err
	}
	offset := min(r.offset, info.Size)
	piece, err := r.store.appendObject(ctx, nil, key, offset, min(r.limit, info.Size-offset))
	r.running = false
	return r.page(piece, info.Size, info.Metadata[truncatedKey] == "true"), err
}

// fromSegments reads the segments of the newest attempt that has any.
func (r *pageReader) fromSegments(ctx context.Context) (attune.LogPage, error) {
	attempt, err := r.newestAttempt(ctx)
	if err != nil {
		return attune.LogPage{}, err
	}
	if attempt > 1 {
		page, err := r.fromSegmentsOf(ctx, attempt)
		if err == nil || !errors.Is(err, s3.ErrMissing) {
			return page, err
		}
	}
	return r.fromSegmentsOf(ctx, 1)
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

func (r *pageReader) fromSegmentsOf(ctx context.Context, attempt int) (attune.LogPage, error) {
	prefix := segmentsPrefix(r.prefix, attempt)
	if r.offset < segmentBytes {
		return r.fromSegmentsBehind(ctx, prefix, "")
	}
	// No segment that begins before this one reaches to the offset.
	page, err := r.fromSegmentsBehind(ctx, prefix, segmentKey(prefix, r.stream, r.offset-segmentBytes))
	if errors.Is(err, s3.ErrMissing) {
		// The offset may be far behind the end, which only the whole list shows.
		return r.fromSegmentsBehind(ctx, prefix, "")
	}
	return page, err
}

// fromSegmentsBehind reads the segments whose keys sort behind after. Segments that vanish meanwhile are s3.ErrMissing:
// the stream has ended.
func (r *pageReader) fromSegmentsBehind(ctx context.Context, prefix, after string) (attune.LogPage, error) {
	var piece []byte
	var total int64
	for s, err := range r.store.segments(ctx, segmentFolder(prefix, r.stream), after) {
		if err != nil {
			return attune.LogPage{}, err
		}
		total = s.end()
		next := r.offset + int64(len(piece))
		if want := min(r.limit-int64(len(piece)), s.end()-next); want > 0 {
			if s.offset > next {
				return attune.LogPage{}, s3.ErrMissing
			}
			if piece, err = r.store.appendObject(ctx, piece, s.key, next-s.offset, want); err != nil {
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

// segments lists the segments in a folder whose keys sort behind after, in order.
func (l *Store) segments(ctx context.Context, folder, after string) iter.Seq2[segment, error] {
	return func(yield func(segment, error) bool) {
		for object, err := range l.bucket.List(ctx, folder, s3.ListOptions{After: after}) {
			if err != nil {
				yield(segment{}, err)
				return
			}
			offset, err := strconv.ParseInt(strings.TrimSuffix(path.Base(object.Key), logSuffix), 10, 64)
			if err != nil {
				continue // not one of ours
			}
			if !yield(segment{object.Key, offset, object.Size}, nil) {
				return
			}
		}
	}
}

// appendObject appends size bytes of an object to piece.
func (l *Store) appendObject(ctx context.Context, piece []byte, key string, offset, size int64) ([]byte, error) {
	old := len(piece)
	piece = append(piece, make([]byte, size)...)
	return piece, l.bucket.ReadAt(ctx, key, piece[old:], offset)
}
