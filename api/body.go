package api

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Bodies that are read at once: of all tokens, and of one.
const (
	maxBodies      = 64
	maxTokenBodies = 16
)

const (
	// slowestBody is the rate, in bytes a second, below which a body is cut.
	slowestBody = 64 << 10
	// maxBodyTime cuts any body.
	maxBodyTime = 30 * time.Minute
	// smallRest is what net/http reads by itself of a body that the handler did not want.
	smallRest = 256 << 10
)

// boundBodies bounds how many bodies are read at once, and how long each may take. Behind an answer it reads the rest
// of a body, so that a client that sends everything before it reads gets the answer and no broken connection.
func (s *server) boundBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := callOf(r.Context()).token
		if r.ContentLength == 0 || token == nil {
			next.ServeHTTP(w, r)
			return
		}
		release, err := s.inTime(r.Context(), func(ctx context.Context) (func(), error) {
			return s.bodies.acquire(ctx, token.ID)
		})
		if err != nil {
			problemFor(r.Context(), s.log, err).write(w)
			return
		}
		defer release()
		body := &pacedBody{
			source: r.Body, length: r.ContentLength, control: http.NewResponseController(w),
			idle: s.SendTimeout, began: time.Now(), answer: s.AnswerTimeout, ended: release,
		}
		r.Body = body
		next.ServeHTTP(&earlyAnswer{w, body}, r)
		if unasked := r.Header.Get("Expect") != "" && body.read == 0; !unasked {
			body.discard(2 * s.Limits.ArchiveBytes)
		}
	})
}

// earlyAnswer tells the client that the connection ends with an answer to a body that has not been read: the rest may
// be more than discard reads.
type earlyAnswer struct {
	http.ResponseWriter
	body *pacedBody
}

// WriteHeader sends the status.
func (a *earlyAnswer) WriteHeader(status int) {
	if a.body.unread() {
		a.Header().Set("Connection", "close")
	}
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap is how http.ResponseController finds the connection.
func (a *earlyAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// pacedBody moves the connection's deadlines along with its progress.
type pacedBody struct {
	source io.Reader
	// length is that of the body; -1 when it is not known.
	length  int64
	control *http.ResponseController
	idle    time.Duration
	began   time.Time
	// answer is the time for the answer, once the body has been read.
	answer time.Duration
	read   int64
	// err is that of the last read; io.EOF is the end.
	err error
	// ended is called at the end of the body, whether good or bad.
	ended func()
}

// Read gives the client the idle time for the next bytes, and the time that its bytes so far have earned.
func (b *pacedBody) Read(p []byte) (int, error) {
	deadline := time.Now().Add(b.idle)
	earned := b.began.Add(b.idle + time.Duration(b.read)*time.Second/slowestBody)
	for _, sooner := range []time.Time{earned, b.began.Add(maxBodyTime)} {
		if sooner.Before(deadline) {
			deadline = sooner
		}
	}
	b.setDeadlines(deadline)
	n, err := b.source.Read(p)
	b.read += int64(n)
	if err != nil {
		b.err = err
		// A read deadline that passes would cancel the request, although its body is there.
		b.setDeadlines(time.Now().Add(b.answer + b.idle))
		b.ended()
	}
	return n, err
}

// setDeadlines leaves the server's own where deadlines are not supported.
func (b *pacedBody) setDeadlines(read time.Time) {
	_ = b.control.SetReadDeadline(read)
	_ = b.control.SetWriteDeadline(read.Add(b.idle))
}

// Close leaves the body open for discard; the server closes it.
func (b *pacedBody) Close() error { return nil }

// unread reports whether more is left than net/http reads by itself.
func (b *pacedBody) unread() bool {
	return b.err == nil && (b.length < 0 || b.length-b.read > smallRest)
}

// discard sends the answer and then reads up to limit bytes that the handler left.
func (b *pacedBody) discard(limit int64) {
	if !b.unread() {
		return
	}
	if b.control.EnableFullDuplex() != nil || b.control.Flush() != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, b, limit) // An error ends the connection, and so does a rest.
}
