package logs

import (
	"errors"
	"os"
	"strings"
)

// Resume goes on with a stream that an earlier process began with CreateAttempt and did not store. Where there is none,
// it begins it. It removes what that process spooled of the attempt's outcome: the outcome was not recorded, and this
// process may come to another.
func (l *Store) Resume(prefix string, attempt int, stream string, capacity int64) (*Writer, error) {
	found, err := l.takeStream(prefix, attempt, stream)
	if err != nil {
		if found != nil {
			err = errors.Join(err, found.close())
			l.giveBack(found.file.Name())
		}
		return nil, err
	}
	if found == nil {
		return l.CreateAttempt(prefix, attempt, stream, capacity)
	}
	w := resumeWriter(l, prefix, found)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active[prefix+stream] = w
	return w, nil
}

// takeStream finds the spool of a stream, which may be nil, and removes the documents of its attempt.
func (l *Store) takeStream(prefix string, attempt int, stream string) (found *spool, err error) {
	paths, err := l.spooled()
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if !l.take(path) {
			continue
		}
		s, err := openSpool(path)
		switch {
		case errors.Is(err, os.ErrNotExist), errors.Is(err, errNoHeader):
			err = nil
		case err != nil:
		case found == nil && s.Stream == stream && s.isStreamOf(prefix, attempt):
			found = s
			continue
		case s.isDocumentOf(prefix, attempt):
			err = errors.Join(s.close(), s.remove())
		default:
			err = s.close()
		}
		l.giveBack(path)
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// isStreamOf reports whether the file is a stream of the attempt.
func (s *spool) isStreamOf(prefix string, attempt int) bool {
	return s.Document == "" && s.Segments == segmentsPrefix(prefix, attempt)
}

// isDocumentOf reports whether the file is a document of the attempt, whether it was to be tried again or not.
func (s *spool) isDocumentOf(prefix string, attempt int) bool {
	name, ours := strings.CutPrefix(s.Document, prefix)
	return ours &&
		(!strings.HasPrefix(name, attemptFolder) || strings.HasPrefix(s.Document, AttemptPrefix(prefix, attempt)))
}
