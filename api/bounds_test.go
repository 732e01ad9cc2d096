package api_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"attune"
	"attune/api"
)

// begin sends the head of a request with a token, and returns its connection.
func (s *service) begin(token, method, path string, headers ...string) net.Conn {
	s.t.Helper()
	conn := s.dial()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: attune\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n", method, path, token,
		strings.Join(headers, "\r\n"))
	return conn
}

// receive reads an answer whole.
func receive(t *testing.T, conn io.Reader) answer {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, body}
}

// await polls a condition until the test is over.
func (s *service) await(what string, holds func() bool) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("never came: %s", what)
		}
	}
}

// metric is a figure of the service; not a number while it is too busy to tell.
func (s *service) metric(name string) float64 {
	s.t.Helper()
	for line := range strings.Lines(string(s.get("/metrics").body)) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return value
		}
	}
	return math.NaN()
}

func TestTooLargeIsSeenByEveryClient(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *api.Config) { c.Limits.ArchiveBytes = 16 << 20 })
	media, form := form(t, "file", bytes.Repeat([]byte("x"), 30<<20))
	for name, test := range map[string]struct{ path, media, body string }{
		"JSON":   {"/api/v1/executions", "application/json", `{"action": "` + strings.Repeat("x", 10<<20) + `"}`},
		"upload": {"/api/v1/packs/upload", media, form},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " chunked ", chunked), func(t *testing.T) {
				t.Parallel()
				t.Run("sends all, then reads", func(t *testing.T) {
					length := fmt.Sprintf("Content-Length: %d", len(test.body))
					body := test.body
					if chunked {
						length, body = "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
					}
					conn := s.begin(s.admin, http.MethodPost, test.path, "Content-Type: "+test.media, length)
					if _, err := io.WriteString(conn, body); err != nil {
						t.Errorf("the service hung up: %v", err)
					}
					wantProblem(t, receive(t, conn), 413, attune.CodeTooLarge)
				})
				t.Run("net/http", func(t *testing.T) {
					s := *s
					s.t = t
					a := s.do(http.MethodPost, test.path, test.body, contentType(test.media), func(r *http.Request) {
						if chunked {
							r.ContentLength = -1
						}
					})
					wantProblem(t, a, 413, attune.CodeTooLarge)
				})
			})
		}
	}
}

func TestBodyOfTheLargestSize(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const head, tail = `{"action": "a.b", "parameters": {"x": "`, `"}}`
	body := head + strings.Repeat("x", 1<<20-len(head)-len(tail)) + tail
	wantProblem(t, s.do(http.MethodPost, "/api/v1/executions", body), 404, attune.CodeNotFound)
	p := wantProblem(t, s.do(http.MethodPost, "/api/v1/executions", body+" "), 413, attune.CodeTooLarge)
	if !strings.Contains(p.Detail, "1048576 bytes") {
		t.Errorf("the limit is not named: %s", p.Detail)
	}
}

func TestRepeatedFilterIsRefused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	p := wantProblem(t, s.get("/api/v1/executions?pack=a&pack=b"), 400, attune.CodeMalformed)
	if len(p.Errors) != 1 || p.Errors[0].Field != "pack" {
		t.Errorf("got %+v", p)
	}
	wantStatus(t, s.get("/api/v1/executions?status=failed&status=timeout"), 200)
}

func TestMetricsAreNotForTokensOfPacks(t *testing.T) {
	t.Parallel()
	s := setup(t)
	wantProblem(t, s.get("/metrics", as(s.token(attune.RoleAdmin, "weather"))), 403, attune.CodeForbidden)
	wantStatus(t, s.get("/metrics", as(s.token(attune.RoleViewer))), 200)
}

// TestSlowBodiesKeepNobodyWaiting: a token whose bodies stand still waits for itself alone.
func TestSlowBodiesKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *api.Config) { c.AnswerTimeout = 3 * time.Second })
	hostile := s.token(attune.RoleOperator)
	for range 16 {
		s.begin(hostile, http.MethodPost, "/api/v1/executions", "Content-Type: application/json", "Content-Length: 100")
	}
	var last answer
	s.await("a refusal", func() bool {
		last = s.do(http.MethodPost, "/api/v1/executions", `{"action": "a.b"}`, as(hostile))
		return last.StatusCode == http.StatusTooManyRequests
	})
	wantProblem(t, last, 429, attune.CodeRejected)
	if last.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	wantStatus(t, s.get("/api/v1/packs", as(hostile)), 200)
	wantStatus(t, s.do(http.MethodPost, "/api/v1/executions", `{"action": "a.b"}`), 404)
}

func TestTricklingBodyIsCut(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *api.Config) { c.SendTimeout = 300 * time.Millisecond })
	conn := s.begin(s.admin, http.MethodPost, "/api/v1/executions", "Content-Type: application/json",
		"Content-Length: 1000000")
	done := make(chan struct{})
	go func() { // Ends with the connection, at the latest by its deadline.
		defer close(done)
		for range time.Tick(20 * time.Millisecond) {
			if _, err := io.WriteString(conn, "{"); err != nil {
				return
			}
		}
	}()
	wantProblem(t, receive(t, conn), http.StatusRequestTimeout, "request_timeout")
	_ = conn.Close()
	<-done
}

func TestConnectionsOfAnAddressAreBounded(t *testing.T) {
	t.Parallel()
	s := setup(t)
	var open []net.Conn
	for range 512 {
		open = append(open, s.dial())
	}
	extra := s.dial()
	if n, err := extra.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d, %v", n, err)
	}
	for _, conn := range open[:10] {
		_ = conn.Close()
	}
	s.await("room for another", func() bool {
		conn := s.begin("", http.MethodGet, "/healthz")
		defer func() { _ = conn.Close() }()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode == http.StatusOK
	})
}

// TestListsDelayNothingElse: sixteen viewers whose lists take for ever hold no connection that a heartbeat or a
// submission needs.
func TestListsDelayNothingElse(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	tx, err := s.db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "lock table finished in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	var lists sync.WaitGroup
	for range 16 {
		viewer := s.token(attune.RoleViewer)
		for range 2 {
			lists.Go(func() {
				a := s.get("/api/v1/executions?pack=weather&since=2020-01-01T00:00:00Z", as(viewer))
				if a.StatusCode != 200 && a.StatusCode != 503 {
					t.Errorf("got %d: %s", a.StatusCode, a.body)
				}
			})
		}
	}
	s.await("lists that wait", func() bool {
		var n int
		if err := s.db.Pool().QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == 4
	})
	start := time.Now()
	s.register("builder", 1) // It writes what a heartbeat does.
	s.submit("weather.hello")
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	lists.Wait()
}
