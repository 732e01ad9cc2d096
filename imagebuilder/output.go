package imagebuilder

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// maxReasonBytes bounds a line that is copied into an error, and maxPendingBytes the part of a line that is buffered.
const (
	maxReasonBytes  = 500
	maxPendingBytes = 8 << 10
)

// stepOutput copies what a step prints to the log, whole lines at a time, and keeps the line that best explains a
// failure.
type stepOutput struct {
	mu          sync.Mutex
	log         io.Writer
	isComplaint func(line string) bool
	// last is the last line that is not empty, complaintLine the first one that isComplaint accepts.
	last, complaintLine string
	streams             []*outputStream
}

// outputStream is stdout or stderr of a step. Each is split into lines by itself: a program may write half a line to
// one, a complaint to the other, and then the other half.
type outputStream struct {
	output *stepOutput
	// start is the beginning of the present line, for a reason; pending is what the log has not got yet.
	start, pending []byte
}

func newStepOutput(log io.Writer, isComplaint func(string) bool) *stepOutput {
	return &stepOutput{log: log, isComplaint: isComplaint}
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
	if o.complaintLine == "" && o.isComplaint != nil && o.isComplaint(text) {
		o.complaintLine = text
	}
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

// reason returns the line that best explains why the step failed.
func (o *stepOutput) reason() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.complaintLine != "" {
		return o.complaintLine
	}
	return o.last
}
