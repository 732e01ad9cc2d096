package logs

import (
	"errors"
	"os"
	"strings"
)

// Resume goes on with a stream that an earlier process began with CreateAttempt, and has not released. Where there is
// none, it begins it. What that process laid down of the attempt's outcome is removed: it was not recorded, and another
// may be.
func (l *Store) Resume(prefix string, attempt int, stream string, capacity int64) (*Writer, error) {
	paths, err := l.spooled()
	if err != nil {
		return nil, err
	}
	var found *spool
	for _, path := range paths {
		if !l.take(path) {
			continue
		}
		s, err := openSpool(path)
		if err == nil && found == nil && s.Stream == stream && s.streams(prefix, attempt) {
			found = s
			continue
		}
		if err == nil {
			err = s.close()
			if s.documents(prefix, attempt) {
				err = errors.Join(err, s.remove())
			}
		}
		l.giveBack(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errNoHeader) {
			if found != nil {
				err = errors.Join(err, found.close())
				l.giveBack(found.file.Name())
			}
			return nil, err
		}
	}
	if found != nil {
		return l.resume(prefix, found), nil
	}
	return l.CreateAttempt(prefix, attempt, stream, capacity)
}

// streams reports whether the file is a stream of the attempt.
func (s *spool) streams(prefix string, attempt int) bool {
	return s.Document == "" && s.Segments == segmentsPrefix(prefix, attempt)
}

// documents reports whether the file is a document of the attempt, wherever that was to go.
func (s *spool) documents(prefix string, attempt int) bool {
	name, ours := strings.CutPrefix(s.Document, prefix)
	return ours &&
		(!strings.HasPrefix(name, attemptFolder) || strings.HasPrefix(s.Document, AttemptPrefix(prefix, attempt)))
}

func (l *Store) resume(prefix string, s *spool) *Writer {
	w := &Writer{store: l, prefix: prefix, spool: s}
	w.segment.resumed = true
	w.segment.start(w)
	w.segment.grown(s.written)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active[prefix+s.Stream] = w
	return w
}
