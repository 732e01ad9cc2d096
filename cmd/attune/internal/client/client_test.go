package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"attune"
	"attune/cmd/attune/internal/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect starts a server with the handler and a client of it.
func connect(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, "att_x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestNewWantsAnAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "localhost:8080", "ftp://host", "http://", "/path", "http://a b"} {
		if _, err := client.New(address, ""); err == nil {
			t.Errorf("%q was taken for an address", address)
		}
	}
}

func TestPathEscapesItsSegments(t *testing.T) {
	t.Parallel()
	if got, want := client.Path("packs", "../a?b", "x"), "/api/v1/packs/..%2Fa%3Fb/x"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestGetKeepsTheDataAsItCame(t *testing.T) {
	t.Parallel()
	c := connect(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data": {"n": 1e2, "t": "<"}, "pagination": {"next_cursor": "c"}}`))
	})
	answer, err := c.Get(t.Context(), client.Path("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(answer.Data); got != `{"n": 1e2, "t": "<"}` || answer.Pagination.NextCursor != "c" {
		t.Errorf("data %s, cursor %q", got, answer.Pagination.NextCursor)
	}
}

func TestUnreachableIsUnavailable(t *testing.T) {
	t.Parallel()
	c, err := client.New("http://127.0.0.1:1", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Get(t.Context(), client.Path("x"), nil)
	if attune.CodeOf(err) != attune.CodeUnavailable || !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

func TestAnswerThatBreaksOff(t *testing.T) {
	t.Parallel()
	c := connect(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"data": `))
	})
	if _, err := c.Get(t.Context(), client.Path("x"), nil); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

func TestCancellationStaysOne(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := connect(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := c.Get(ctx, client.Path("x"), nil); !errors.Is(err, context.Canceled) || attune.CodeOf(err) != "" {
		t.Errorf("error %v", err)
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	c := connect(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(`{"detail": "full", "code": "rejected", "errors": [{"field": "a", "message": "b"}]}`))
	})
	_, err := c.Get(t.Context(), client.Path("x"), nil)
	told, ok := errors.AsType[*attune.Error](err)
	if !ok || told.Code != attune.CodeRejected || told.RetryAfter != 3*time.Second || told.Error() != "full; a: b" {
		t.Errorf("error %#v", err)
	}
}

func TestUploadReturnsTheWritersError(t *testing.T) {
	t.Parallel()
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusBadRequest)
	})
	broken := errors.New("the disk is broken")
	_, err := c.Upload(t.Context(), "/", "a.zip", func(w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}
