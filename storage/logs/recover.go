package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"attune"
)

// Recover stores the streams that are left in the spool because an earlier process died or S3 did not answer when they
// were closed. Call it at the start and from time to time. It stops at the first sign that S3 is away.
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

// spooled are the paths of all spool files, those in use too.
func (l *Store) spooled() ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(l.spool, "*", "*"+spoolSuffix))
	if err != nil {
		return nil, fmt.Errorf("list log spool: %w", err)
	}
	earlier, err := filepath.Glob(filepath.Join(l.spool, "*"+spoolSuffix)) // versions that had no folders there
	if err != nil {
		return nil, fmt.Errorf("list log spool: %w", err)
	}
	return append(earlier, paths...), nil
}

func (l *Store) recover(ctx context.Context, path string) error {
	spool, err := openSpool(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was finished since it was listed
	}
	if errors.Is(err, errNoHeader) {
		return os.Remove(path)
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
	if err := errors.Join(err, spool.close()); err != nil {
		return err
	}
	slog.InfoContext(ctx, "stored what was left in the spool",
		"prefix", spool.Prefix, "stream", spool.Stream, "document", spool.Document, "size", spool.total)
	return spool.remove()
}

func (l *Store) recoverStream(ctx context.Context, s *spool) error {
	summary, err := s.summary(s.content())
	if err != nil {
		return err
	}
	return l.store(ctx, s, summary, true)
}

// KeepAttempt sends what an earlier process left of an attempt's streams to its AttemptPrefix. Call it before an
// attempt that died with its process is tried again: Recover would store it as the last one.
func (l *Store) KeepAttempt(prefix string, attempt int) error {
	return l.each(func(s *spool) error {
		if s.Prefix == prefix && s.streams(prefix, attempt) {
			return s.redirect(AttemptPrefix(prefix, attempt))
		}
		return nil
	})
}

// DropAttempt removes what an earlier process left of an attempt that had not started. Call it before the attempt
// begins once more: Recover would store the remains over its log.
func (l *Store) DropAttempt(prefix string, attempt int) error {
	return l.each(func(s *spool) error {
		if s.streams(prefix, attempt) || s.documents(prefix, attempt) {
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

// take reserves a spool file, unless it is in use.
func (l *Store) take(path string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[path] {
		return false
	}
	l.busy[path] = true
	return true
}

func (l *Store) giveBack(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, path)
}
