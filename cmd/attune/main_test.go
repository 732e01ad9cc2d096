package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// invocation is a call of the program as a test wants it; the zero value has no terminal and an empty stdin.
type invocation struct {
	ctx      context.Context
	api      http.Handler
	stdin    string
	terminal bool
	// progress makes stderr, too, a terminal.
	progress bool
	env      map[string]string
	hidden   func() ([]byte, error)
}

// outcome is what a call left.
type outcome struct {
	stdout, stderr string
	status         int
}

// call runs the program against a server with the handler.
func (i invocation) call(t *testing.T, args ...string) outcome {
	t.Helper()
	if i.ctx == nil {
		i.ctx = t.Context()
	}
	if i.api != nil {
		server := httptest.NewServer(i.api)
		defer server.Close()
		args = append(args, "--url", server.URL)
	}
	var stdout, stderr bytes.Buffer
	s := &session{
		stdin: strings.NewReader(i.stdin), stdout: &stdout, stderr: &stderr,
		getenv:         func(name string) string { return i.env[name] },
		stdoutTerminal: i.terminal, stderrTerminal: i.progress, readHidden: i.hidden,
	}
	status := run(i.ctx, s, args)
	return outcome{stdout: stdout.String(), stderr: stderr.String(), status: status}
}

// routes makes a handler; any other request fails the test.
func routes(t *testing.T, handlers map[string]http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("unexpected request %s %s", r.Method, r.URL)
		http.NotFound(w, r)
	})
	for pattern, handler := range handlers {
		mux.HandleFunc(pattern, handler)
	}
	return mux
}

// data answers with the document as the data member.
func data(document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"data": ` + document + `}`))
	}
}

// inTurn answers each request with the next handler, and stays with the last.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	turns := make(chan http.HandlerFunc, len(handlers))
	for _, handler := range handlers[:len(handlers)-1] {
		turns <- handler
	}
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case handler := <-turns:
			handler(w, r)
		default:
			handlers[len(handlers)-1](w, r)
		}
	}
}

// problem answers with an RFC 9457 document.
func problem(status int, document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(document))
	}
}

// bodyOf decodes the JSON body of a request.
func bodyOf(t *testing.T, r *http.Request) map[string]any {
	t.Helper()
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		t.Errorf("body of %s %s: %v", r.Method, r.URL, err)
	}
	return body
}

func (o outcome) want(t *testing.T, status int, stdout string) {
	t.Helper()
	if o.status != status || o.stdout != stdout {
		t.Errorf("status %d, stdout %q, stderr %q\nwant status %d, stdout %q", o.status, o.stdout, o.stderr, status, stdout)
	}
}

// wantStderr checks for parts of what was said beside the output.
func (o outcome) wantStderr(t *testing.T, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(o.stderr, part) {
			t.Errorf("stderr %q\ndoes not have %q", o.stderr, part)
		}
	}
}
