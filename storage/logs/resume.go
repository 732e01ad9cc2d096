package logs

import (
	"errors"
	"os"
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
		case found == nil && s.isStream(prefix, attempt, stream):
			found = s
			continue
		case isOfAttempt(s.Document, prefix, attempt):
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

func (s *spool) isStream(prefix string, attempt int, stream string) bool {
	return s.Document == "" && s.Stream == stream && s.Segments == segmentsPrefix(prefix, attempt)
}
