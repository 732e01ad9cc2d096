package logs

import (
	"context"
	"io"
	"strconv"
	"time"

	"attune"
	"attune/internal/retry"
	"attune/storage/s3"
)

const (
	// uploadTimeout bounds one request for a whole object.
	uploadTimeout = time.Minute
	retryPauseMin = 250 * time.Millisecond
	retryPauseMax = 10 * time.Second
)

// storeInTime repeats store while S3 does not answer, until ctx ends.
func (l *Store) storeInTime(ctx context.Context, s *spool, summary Summary, segmented bool) error {
	return retry.Do(ctx, retry.Pauses(retryPauseMin, retryPauseMax), func() error {
		err := l.store(ctx, s, summary, segmented)
		if attune.CodeOf(err) == attune.CodeUnavailable {
			return err
		}
		return retry.Permanent(err)
	}, nil)
}

// store uploads a stream that has ended, and removes its segments where there may be any. It tries once and may be
// repeated; the spool stays.
func (l *Store) store(ctx context.Context, s *spool, summary Summary, segmented bool) error {
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	content := s.content()
	err := l.upload(ctx, s.Prefix+s.Stream+logSuffix, content, content.Size(), s3.PutOptions{
		ContentType: textType,
		Metadata:    map[string]string{truncatedKey: strconv.FormatBool(summary.Truncated)},
	})
	if err != nil || !segmented {
		return err
	}
	// No other attempt ever has its segments there.
	return l.bucket.RemovePrefix(ctx, segmentFolder(s.Segments, s.Stream))
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
