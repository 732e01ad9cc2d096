package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"attune"
)

func TestProblemFor(t *testing.T) {
	t.Parallel()
	place := attune.Problem{File: "pack.yaml", Line: 3, Field: "version", Message: "is not a semantic version"}
	tests := map[string]struct {
		err        error
		status     int
		code       attune.Code
		retryAfter string
		logged     bool
	}{
		"invalid": {attune.Invalid("no", place), 422, attune.CodeInvalid, "", false},
		"wrapped": {fmt.Errorf("store: %w", attune.Errorf(attune.CodeConflict, "no")), 409, attune.CodeConflict, "",
			false},
		"rejected": {&attune.Error{Code: attune.CodeRejected, RetryAfter: 1500 * time.Millisecond}, 429,
			attune.CodeRejected, "2", false},
		"unavailable":  {attune.Errorf(attune.CodeUnavailable, "no"), 503, attune.CodeUnavailable, "5", true},
		"internal":     {errors.New("password=hunter2"), 500, codeInternal, "", true},
		"unknown code": {attune.Errorf("strange", "no"), 500, codeInternal, "", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			ctx := context.WithValue(t.Context(), callKey{}, &call{id: "REQUEST"})
			doc := problemFor(ctx, slog.New(slog.NewTextHandler(&out, nil)), test.err)
			if doc.Status != test.status || doc.Code != test.code || doc.Title != http.StatusText(test.status) {
				t.Errorf("got %d %s %q, want %d %s", doc.Status, doc.Code, doc.Title, test.status, test.code)
			}
			if got := doc.GetHeaders().Get("Retry-After"); got != test.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, test.retryAfter)
			}
			if lines := strings.Count(out.String(), "\n"); lines > 1 || (lines == 1) != test.logged {
				t.Errorf("logged %d lines: %s", lines, out.String())
			}
			body, err := json.Marshal(doc)
			if err != nil || strings.Contains(string(body), "hunter2") {
				t.Errorf("%v, the document tells an internal error: %s", err, body)
			}
			if internal := test.status == 500; internal != (doc.RequestID == "REQUEST") {
				t.Errorf("request id %q with status %d", doc.RequestID, test.status)
			}
		})
	}
}

func TestEveryCodeHasAStatusOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, code := range []attune.Code{
		attune.CodeInvalid, attune.CodeMalformed, attune.CodeUnauthenticated, attune.CodeForbidden, attune.CodeNotFound,
		attune.CodeConflict, attune.CodeTooLarge, attune.CodeRejected, attune.CodeUnavailable, codeInternal,
		codeMethodNotAllowed, codeRequestTimeout, codeUnsupportedMedia,
	} {
		if got := codeOf(statusOf(code)); got != code {
			t.Errorf("%s has the status of %s", code, got)
		}
	}
}

func TestRequestProblemNeverQuotesAValue(t *testing.T) {
	t.Parallel()
	err := requestProblem(http.StatusUnprocessableEntity, "validation failed",
		&huma.ErrorDetail{Message: "expected string", Location: "body.value", Value: "hunter2"},
		errors.New("read tcp: hunter2"))
	want := &problemDocument{
		Type: "about:blank", Title: "Unprocessable Entity", Status: 422, Detail: "the request has wrong values",
		Code: attune.CodeInvalid, Errors: []attune.Problem{{Field: "value", Message: "expected string"}},
	}
	if diff := cmp.Diff(want, err, cmp.AllowUnexported(problemDocument{})); diff != "" {
		t.Error(diff)
	}
}

func TestFieldOf(t *testing.T) {
	t.Parallel()
	for location, want := range map[string]string{
		"body.parameters.city": "parameters.city", "body.executions[12].action": "executions.12.action",
		"body.packs[1]": "packs[1]", "query.limit": "limit", "path.id": "id", "body": "", "elsewhere": "elsewhere",
	} {
		if got := fieldOf(location); got != want {
			t.Errorf("fieldOf(%q) = %q, want %q", location, got, want)
		}
	}
}

func TestPanicBecomesAProblem(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	router := chi.NewRouter()
	router.Use(nameCall, observe(log, newMetrics("test")), recoverPanics(log))
	router.Get("/", func(http.ResponseWriter, *http.Request) { panic("a bug") })
	recorder := httptest.NewRecorder()
	router.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if recorder.Code != 500 || recorder.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %s", recorder.Code, recorder.Header())
	}
	if strings.Contains(recorder.Body.String(), "a bug") || !strings.Contains(out.String(), "a bug") {
		t.Errorf("the cause belongs into the log alone: %s", recorder.Body)
	}
}
