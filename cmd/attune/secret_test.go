package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"attune"
)

func TestSecretSet(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stdin, value string
		args         []string
		query, scope string
	}{
		"one newline": {"s3cret\n", "s3cret", nil, "", "global"},
		"CRLF":        {"s3cret\r\n", "s3cret", nil, "", "global"},
		"no newline":  {"s3cret", "s3cret", []string{"--pack", "weather"}, "pack=weather", "pack weather"},
		"two newlines": {"a\nb\n\n", "a\nb\n", []string{"--action", "weather.report"}, "action=weather.report",
			"action weather.report"},
		"largest": {strings.Repeat("x", attune.MaxSecretBytes) + "\r\n", strings.Repeat("x", attune.MaxSecretBytes), nil,
			"", "global"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := routes(t, map[string]http.HandlerFunc{
				"PUT /api/v1/secrets/key": func(w http.ResponseWriter, r *http.Request) {
					if got := bodyOf(t, r)["value"]; got != test.value || r.URL.RawQuery != test.query {
						t.Errorf("value of %d bytes, query %q; want %d bytes, %q", len(got.(string)), r.URL.RawQuery, len(test.value),
							test.query)
					}
					w.WriteHeader(http.StatusNoContent)
				}})
			got := invocation{api: api, stdin: test.stdin}.call(t, append([]string{"secret", "set", "key"}, test.args...)...)
			got.want(t, exitDone, "secret key set ("+test.scope+")\n")
		})
	}
}

func TestSecretSetPrompt(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{"PUT /api/v1/secrets/key": func(w http.ResponseWriter, r *http.Request) {
		if got := bodyOf(t, r)["value"]; got != "typed" {
			t.Errorf("value %q", got)
		}
		w.WriteHeader(http.StatusNoContent)
	}})
	typed := func() ([]byte, error) { return []byte("typed"), nil }
	got := invocation{api: api, hidden: typed}.call(t, "secret", "set", "key")
	got.want(t, exitDone, "secret key set (global)\n")
	if want := "value of key (not shown): \n"; got.stderr != want {
		t.Errorf("stderr %q, want %q", got.stderr, want)
	}
	broken := func() ([]byte, error) { return nil, errors.New("no terminal") }
	invocation{api: api, hidden: broken}.call(t, "secret", "set", "key").want(t, exitOther, "")
}

func TestSecretSetRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ stdin, stderr string }{
		"empty":        {"", "is empty"},
		"only newline": {"\n", "is empty"},
		"too large":    {strings.Repeat("x", attune.MaxSecretBytes+1), "larger than 64 KiB"},
		"not UTF-8":    {"canary\xff", "not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invocation{api: routes(t, nil), stdin: test.stdin}.call(t, "secret", "set", "key")
			got.want(t, exitUsage, "")
			got.wantStderr(t, test.stderr)
			if strings.Contains(got.stderr, "canary") {
				t.Errorf("the value is in stderr %q", got.stderr)
			}
		})
	}
}

func TestSecretListAndDelete(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{
		"GET /api/v1/secrets": data(`[{"name": "a", "updated_at": "2026-01-15T12:00:00Z"},
			{"name": "b", "pack": "weather", "updated_at": "2026-01-15T12:00:00Z"}]`),
		"DELETE /api/v1/secrets/b": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "pack=weather" {
				t.Errorf("query %q", r.URL.RawQuery)
			}
			w.WriteHeader(http.StatusNoContent)
		},
	})
	invocation{api: api}.call(t, "secret", "list").want(t, exitDone,
		"a\tglobal\t2026-01-15T12:00:00Z\nb\tpack weather\t2026-01-15T12:00:00Z\n")
	invocation{api: api}.call(t, "secret", "delete", "b", "--pack", "weather").want(t, exitDone,
		"secret b (pack weather) removed\n")
}
