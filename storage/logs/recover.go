package logs

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"attune"
	"attune/storage/s3"
)

// Recover stores what is left in the spool because an earlier process died or S3 did not answer in time. Call it at the
// start and from time to time. It stops at the first sign that S3 is away. What can never be stored is set aside.
func (l *Store) Recover(ctx context.Context) error {
	paths, err := l.spooled()
	if err != nil {
		return err
	}
	var failed []error
	for _, path := range paths {
		if !l.take(path) {
			continue
		}
		err := l.recover(ctx, path)
		l.giveBack(path)
		if err == nil {
			continue
		}
		failed = append(failed, err)
		if attune.CodeOf(err) == attune.CodeUnavailable || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func (l *Store) recover(ctx context.Context, path string) error {
	spool, err := openSpool(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was finished since it was listed
	}
	if errors.Is(err, errNoHeader) {
		return l.setAside(path, err)
	}
	if err != nil {
		return err
	}
	if spool.Document != "" {
		ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
		defer cancel()
		err = l.sendSpooled(ctx, spool)
	} else {
		err = l.recoverStream(ctx, spool)
	}
	err = errors.Join(err, spool.close())
	if errors.Is(err, s3.ErrRefused) {
		return l.setAside(path, err)
	}
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "stored what was left in the spool",
		"prefix", spool.Prefix, "stream", spool.Stream, "document", spool.Document, "size", spool.total)
	return spool.remove()
}

func (l *Store) recoverStream(ctx context.Context, s *spool) error {
	summary, err := s.summary()
	if err != nil {
		return err
	}
	return l.store(ctx, s, summary, true)
}

// KeepAttempt sends what an earlier process left of an attempt's streams to its AttemptPrefix. Call it before an
// attempt that died with its process is tried again: Recover would store it as the last one.
func (l *Store) KeepAttempt(prefix string, attempt int) error {
	return l.each(func(s *spool) error {
		if s.Prefix == prefix && s.isStreamOf(prefix, attempt) {
			return s.redirect(AttemptPrefix(prefix, attempt))
		}
		return nil
	})
}

// DropAttempt removes what an earlier process left of an attempt that had not started. Call it before the attempt
// begins once more: Recover would store the remains over its log.
func (l *Store) DropAttempt(prefix string, attempt int) error {
	return l.each(func(s *spool) error {
		if s.isStreamOf(prefix, attempt) || s.isDocumentOf(prefix, attempt) {
			return s.remove()
		}
		return nil
	})
}

// each calls do with every spool that is not in use, until it fails.
func (l *Store) each(do func(*spool) error) error {
	paths, err := l.spooled()
	if err != nil {
		return err
	}
	for _, path := range paths {
		if !l.take(path) {
			continue
		}
		s, err := openSpool(path)
		if err == nil {
			err = errors.Join(do(s), s.close())
		}
		l.giveBack(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errNoHeader) {
			return err
		}
	}
	return nil
}
