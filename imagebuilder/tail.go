package imagebuilder

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// maxReason bounds a line that is taken over into an error, and maxLine what of a line is held back until it has ended.
const (
	maxReason = 500
	maxLine   = 8 << 10
)

// tail passes on what a step prints and remembers the line that says most about a failure.
type tail struct {
	mu        sync.Mutex
	log       io.Writer
	complaint func(line string) bool
	// last is the last line with anything in it, and told the first that the step's own rule chose.
	last, told string
	streams    []*tailStream
}

// tailStream is one of the streams of a step. Each has lines of its own: programs write half a line to one stream, a
// complaint to the other, and then the other half.
type tailStream struct {
	tail *tail
	// start is the beginning of the line, for a reason, and held what of it has not been passed on.
	start, held []byte
}

func newTail(log io.Writer, complaint func(string) bool) *tail {
	return &tail{log: log, complaint: complaint}
}

// stream returns a writer for one of the step's streams.
func (t *tail) stream() *tailStream {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &tailStream{tail: t}
	t.streams = append(t.streams, s)
	return s
}

// Write never fails: a build does not depend on its log.
func (s *tailStream) Write(p []byte) (int, error) {
	s.tail.mu.Lock()
	defer s.tail.mu.Unlock()
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		if room := maxReason - len(s.start); room > 0 {
			s.start = append(s.start, line[:min(room, len(line))]...)
		}
		s.held = append(s.held, rest[:len(rest)-len(after)]...)
		if ended {
			s.endLine()
		}
		if ended || len(s.held) > maxLine {
			s.pass()
		}
		rest = after
	}
	return len(p), nil
}

// pass hands on what is held back.
func (s *tailStream) pass() {
	_, _ = s.tail.log.Write(s.held)
	s.held = s.held[:0]
}

func (s *tailStream) endLine() {
	text := strings.TrimSpace(strings.ToValidUTF8(string(s.start), "�"))
	s.start = s.start[:0]
	if text == "" {
		return
	}
	t := s.tail
	t.last = text
	if t.told == "" && t.complaint != nil && t.complaint(text) {
		t.told = text
	}
}

// end is called when the step has ended: what its streams hold back are their last lines.
func (t *tail) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.streams {
		s.endLine()
		s.pass()
	}
}

// reason is the line that says why the step failed, as far as can be told.
func (t *tail) reason() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.told != "" {
		return t.told
	}
	return t.last
}
