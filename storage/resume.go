package storage

import (
	"errors"
	"os"
)

// Resume goes on with a stream that an earlier process began with CreateAttempt, and has not released. Where there is none,
// it begins it.
func (l *Logs) Resume(prefix string, attempt int, stream string, capacity int64) (*LogWriter, error) {
	paths, err := l.spooled()
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if !l.take(path) {
			continue
		}
		spool, err := openSpool(path)
		if err == nil && spool.Stream == stream && spool.Segments == segmentsPrefix(prefix, attempt) && spool.Document == "" {
			return l.resume(prefix, spool), nil
		}
		if err == nil {
			err = spool.close()
		}
		l.giveBack(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errNoHeader) {
			return nil, err
		}
	}
	return l.CreateAttempt(prefix, attempt, stream, capacity)
}

func (l *Logs) resume(prefix string, s *spool) *LogWriter {
	w := &LogWriter{logs: l, prefix: prefix, spool: s}
	w.segment.resumed = true
	w.segment.start(w)
	w.segment.grown(s.written)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active[prefix+s.Stream] = w
	return w
}
