package imagebuilder

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"strings"
	"sync"
)

// maxReasonBytes bounds a line that is copied into an error, and maxPendingBytes the part of a line that is buffered.
const (
	maxReasonBytes  = 1000
	maxPendingBytes = 8 << 10
)

// maxReasons bounds the lines that are joined into one reason.
const maxReasons = 3

// stepOutput copies what a step prints to the log, whole lines at a time, and keeps what best explains a failure.
type stepOutput struct {
	mu      sync.Mutex
	log     io.Writer
	reading reading
	// last is the last line that is not empty, reasons those that the reading picked.
	last    string
	reasons []string
	// subject is the package whose code ran last.
	subject string
	found   findings
	streams []*outputStream
}

// findings are what the output of a failed step shows.
type findings struct {
	// reason explains the failure; it may be empty.
	reason string
	// fullDisk and noCompiler say what was missing; subject is the package that lacked the compiler, if it is known.
	fullDisk, noCompiler bool
	subject              string
}

// outputStream is stdout or stderr of a step. Each is split into lines by itself: a program may write half a line to
// one, a complaint to the other, and then the other half.
type outputStream struct {
	output *stepOutput
	// before is the line before the present one.
	before string
	// start is the beginning of the present line, for a reason; pending is what the log has not got yet.
	start, pending []byte
}

func newStepOutput(log io.Writer, reading reading) *stepOutput {
	return &stepOutput{log: log, reading: reading}
}

// stream returns a writer for one of the step's streams.
func (o *stepOutput) stream() *outputStream {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := &outputStream{output: o}
	o.streams = append(o.streams, s)
	return s
}

// Write never fails: a build does not depend on its log.
func (s *outputStream) Write(p []byte) (int, error) {
	s.output.mu.Lock()
	defer s.output.mu.Unlock()
	for remaining := p; len(remaining) > 0; {
		line, after, ended := bytes.Cut(remaining, []byte{'\n'})
		if room := maxReasonBytes - len(s.start); room > 0 {
			s.start = append(s.start, line[:min(room, len(line))]...)
		}
		s.pending = append(s.pending, remaining[:len(remaining)-len(after)]...)
		if ended {
			s.endLine()
		}
		if ended || len(s.pending) > maxPendingBytes {
			s.flush()
		}
		remaining = after
	}
	return len(p), nil
}

// flush writes what is pending to the log.
func (s *outputStream) flush() {
	_, _ = s.output.log.Write(s.pending)
	s.pending = s.pending[:0]
}

func (s *outputStream) endLine() {
	text := strings.TrimSpace(strings.ToValidUTF8(string(s.start), "�"))
	s.start = s.start[:0]
	if text == "" {
		return
	}
	o := s.output
	o.last = text
	if subject := o.reading.subjectOf(text); subject != "" {
		o.subject = subject
	}
	if !o.found.noCompiler && needsCompiler.MatchString(text) {
		o.found.noCompiler, o.found.subject = true, o.subject
	}
	o.found.fullDisk = o.found.fullDisk || strings.Contains(strings.ToLower(text), "no space left on device")
	for _, reason := range o.reading.explain(text, s.before) {
		if len(o.reasons) < maxReasons && !slices.Contains(o.reasons, reason) {
			o.reasons = append(o.reasons, reason)
		}
	}
	s.before = text
}

// end must be called when the step has ended: it flushes the last lines.
func (o *stepOutput) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.streams {
		s.endLine()
		s.flush()
	}
}

// seen returns what the output shows. Without a line that the reading picked, the last one is the reason.
func (o *stepOutput) seen() findings {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := o.found
	found.reason = cmp.Or(strings.Join(o.reasons, "; "), o.last)
	return found
}
