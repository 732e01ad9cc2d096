package logs

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"attune"
	"attune/storage/s3"
)

// Sizes of a log page.
const (
	defaultPageBytes = 64 << 10
	maxPageBytes     = 1 << 20
)

// Page reads a piece of a stream, also while it is being written; a stream that was never written is empty. limit is
// defaultPageBytes when 0 and at most maxPageBytes. An offset behind the end becomes the end. While the stream is
// running, a character whose bytes have not all arrived is left for the next page.
func (l *Store) Page(
	ctx context.Context, prefix, stream string, offset, limit int64, running bool,
) (attune.LogPage, error) {
	if limit <= 0 {
		limit = defaultPageBytes
	}
	r := pageReader{
		store: l, prefix: prefix, stream: stream, running: running, offset: max(offset, 0),
		limit: min(max(limit, utf8.UTFMax), maxPageBytes), // less than a character could never move on
	}
	if w := l.writer(prefix, stream); w != nil {
		if piece, total, truncated, ok := w.read(r.offset, r.limit); ok {
			return r.page(piece, total, truncated), nil
		}
	}
	// The stream may end between a look for the whole object and one for its segments, and then neither is found.
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

// storedPause is the time between two looks for a stream that is about to be stored.
const storedPause = 50 * time.Millisecond

// AwaitStored returns when a stream that has ended can be read whole: another process may still be about to store it.
// It waits until ctx ends at most.
func (l *Store) AwaitStored(ctx context.Context, prefix, stream string) {
	for l.writer(prefix, stream) == nil {
		_, err := l.bucket.Stat(ctx, prefix+stream+logSuffix)
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

// pageReader is one request for a page. Its from methods fail with s3.ErrMissing where there is nothing to read.
type pageReader struct {
	store          *Store
	prefix, stream string
	offset, limit  int64
	running        bool
}

// page makes text of the bytes at the offset.
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
