package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args   []string
		stderr string
	}{
		"unknown flag":      {[]string{"run", "a.b", "--fast"}, "unknown flag --fast"},
		"missing command":   {[]string{"pack"}, "see `attune pack --help`"},
		"missing argument":  {[]string{"run"}, "attune run --help"},
		"token as a flag":   {[]string{"pack", "list", "--token", "att_x"}, "unknown flag --token"},
		"both ways to wait": {[]string{"run", "a.b", "--wait", "--follow"}, "can't be used together"},
		"not an address":    {[]string{"pack", "list", "--url", "localhost"}, `"localhost" is not the address`},
		"unreadable token": {[]string{"pack", "list", "--url", "http://127.0.0.1:1", "--token-file", "/nonexistent"},
			"read the token"},
		"unknown state":        {[]string{"execution", "list", "--status", "done"}, `must be one of`},
		"negative limit":       {[]string{"execution", "list", "--limit=-1"}, "--limit is 0 or more"},
		"two scopes":           {[]string{"secret", "list", "--pack", "a", "--action", "a.b"}, "unknown flag --pack"},
		"two scopes at once":   {[]string{"secret", "set", "x", "--pack", "a", "--action", "a.b"}, "can't be used together"},
		"logs as JSON of both": {[]string{"logs", "--json", "some-id"}, "--json needs --stream"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invocation{}.call(t, test.args...)
			got.want(t, exitUsage, "")
			got.wantStderr(t, "attune: ", test.stderr)
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"without arguments": nil,
		"asked for":         {"--help"},
		"of a command":      {"run", "--help"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invocation{}.call(t, args...)
			if got.status != exitDone || got.stderr != "" || !strings.HasPrefix(got.stdout, "Usage: attune ") {
				t.Errorf("status %d, stderr %q, stdout %q", got.status, got.stderr, got.stdout)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	got := invocation{}.call(t, "pack", "list", "--url", "http://127.0.0.1:1")
	got.want(t, exitOther, "")
	got.wantStderr(t, "attune: cannot reach http://127.0.0.1:1: connect: connection refused\n", "hint: ", "ATTUNE_URL",
		"attune up")
}

func TestErrorsOfTheService(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		stderr string
	}{
		"places": {
			problem(422, `{"title": "Unprocessable Entity", "status": 422, "detail": "the pack has 2 problems",
				"code": "invalid",
				"errors": [{"file": "pack.yaml", "line": 3, "field": "version", "message": "is missing"}, {"file": "a",
				"message": "is a link"}]}`),
			"attune: the pack has 2 problems\n  pack.yaml:3: version: is missing\n  a: is a link\n",
		},
		"token": {
			problem(401, `{"detail": "a token is needed", "code": "unauthenticated"}`),
			"attune: a token is needed\n  hint: set ATTUNE_TOKEN or --token-file; `source DIR/connections.env` sets the token " +
				"of `attune up`\n",
		},
		"role": {
			problem(403, `{"detail": "not yours", "code": "forbidden"}`),
			"attune: not yours\n  hint: use a token that may do this: set ATTUNE_TOKEN or --token-file\n",
		},
		"internal": {
			problem(500, `{"title": "Internal Server Error", "code": "internal", "detail": "the service failed", `+
				`"request_id": "r-1"}`),
			"attune: the service failed (request r-1)\n",
		},
		"controls of the terminal": {
			problem(404, `{"detail": "there is no \u001b[31mpack\r", "code": "not_found"}`),
			"attune: there is no  [31mpack \n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invocation{api: test.answer}.call(t, "pack", "list")
			got.want(t, exitOther, "")
			if got.stderr != test.stderr {
				t.Errorf("stderr %q\nwant %q", got.stderr, test.stderr)
			}
		})
	}
}

func TestNotAttune(t *testing.T) {
	t.Parallel()
	page := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }
	got := invocation{api: http.HandlerFunc(page)}.call(t, "pack", "list")
	got.want(t, exitOther, "")
	got.wantStderr(t, "does not speak Attune's API")

	got = invocation{api: problem(502, "bad gateway")}.call(t, "pack", "list")
	got.want(t, exitOther, "")
	got.wantStderr(t, "answered 502 Bad Gateway, and not as Attune does")
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	answer := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		problem(429, `{"detail": "the queue is full", "code": "rejected"}`)(w, r)
	}
	got := invocation{api: http.HandlerFunc(answer)}.call(t, "run", "a.b")
	got.want(t, exitOther, "")
	got.wantStderr(t, "attune: the queue is full\n  hint: try again in 7s\n")
}

func TestToken(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("att_file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"ATTUNE_TOKEN": "att_env"}
	for name, test := range map[string]struct {
		args []string
		env  map[string]string
		want string
	}{
		"environment": {nil, env, "Bearer att_env"},
		"file":        {[]string{"--token-file", file}, env, "Bearer att_file"},
		"none":        {nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := routes(t, map[string]http.HandlerFunc{"GET /api/v1/packs": func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); got != test.want {
					t.Errorf("Authorization %q, want %q", got, test.want)
				}
				data(`[]`)(w, r)
			}})
			invocation{api: api, env: test.env}.call(t, append([]string{"pack", "list"}, test.args...)...).want(t, exitDone, "")
		})
	}
}
