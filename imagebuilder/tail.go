package imagebuilder

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// maxReason bounds a line that is taken over into an error.
const maxReason = 500

// tail passes on what a step prints and remembers the line that says most about a failure.
type tail struct {
	mu        sync.Mutex
	log       io.Writer
	complaint func(line string) bool
	line      []byte
	// last is the last line with anything in it, and told the first that the step's own rule chose.
	last, told string
}

func newTail(log io.Writer, complaint func(string) bool) *tail {
	return &tail{log: log, complaint: complaint}
}

// Write never fails: a build does not depend on its log.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = t.log.Write(p)
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		if room := maxReason - len(t.line); room > 0 {
			t.line = append(t.line, line[:min(room, len(line))]...)
		}
		if ended {
			t.endLine()
		}
		rest = after
	}
	return len(p), nil
}

func (t *tail) endLine() {
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.line), "�"))
	t.line = t.line[:0]
	if text == "" {
		return
	}
	t.last = text
	if t.told == "" && t.complaint != nil && t.complaint(text) {
		t.told = text
	}
}

// reason is the line that says why the step failed, as far as can be told.
func (t *tail) reason() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLine()
	if t.told != "" {
		return t.told
	}
	return t.last
}
