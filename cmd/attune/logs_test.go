package main

import (
	"net/http"
	"testing"
)

// logAPI serves two pages of stdout and one of stderr.
func logAPI(t *testing.T) http.Handler {
	return routes(t, map[string]http.HandlerFunc{
		"GET /api/v1/executions/e-1": data(execution("completed", "")),
		"GET /api/v1/executions/e-1/logs/stdout": func(w http.ResponseWriter, r *http.Request) {
			data(map[string]string{
				"0": `{"content": "one\n", "offset": 0, "next_offset": 4, "total_size": 7, "truncated": false}`,
				"4": `{"content": "two", "offset": 4, "next_offset": 7, "total_size": 7, "truncated": false}`,
			}[r.URL.Query().Get("offset")])(w, r)
		},
		"GET /api/v1/executions/e-1/logs/stderr": data(`{"content": "oh\n", "offset": 0, "next_offset": 3, "total_size": 3}`),
	})
}

func TestLogs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args           []string
		stdout, stderr string
	}{
		"both":     {nil, "one\ntwo", "oh\n"},
		"stdout":   {[]string{"--stream", "stdout"}, "one\ntwo", ""},
		"stderr":   {[]string{"--stream", "stderr"}, "", "oh\n"},
		"followed": {[]string{"-f"}, "one\ntwo", "oh\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invocation{api: logAPI(t)}.call(t, append([]string{"logs", "e-1"}, test.args...)...)
			got.want(t, exitDone, test.stdout)
			if got.stderr != test.stderr {
				t.Errorf("stderr %q, want %q", got.stderr, test.stderr)
			}
		})
	}
}

func TestLogsOfAnAttempt(t *testing.T) {
	t.Parallel()
	page := func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Get("attempt"); got != "2" {
			t.Errorf("asked for attempt %q", got)
		}
		data(`{"content": "two\n", "offset": 0, "next_offset": 4, "total_size": 4}`)(w, r)
	}
	api := routes(t, map[string]http.HandlerFunc{
		"GET /api/v1/executions/e-1/logs/stdout": page, "GET /api/v1/executions/e-1/logs/stderr": page,
	})
	got := invocation{api: api}.call(t, "logs", "e-1", "--attempt", "2")
	got.want(t, exitDone, "two\n")
	if got.stderr != "two\n" {
		t.Errorf("stderr %q", got.stderr)
	}
	if got := (invocation{api: api}).call(t, "logs", "e-1", "--attempt", "2", "--stream", "stdout",
		"--json"); got.status != exitDone {
		t.Errorf("status %d, stderr %q", got.status, got.stderr)
	}
	for _, wrong := range [][]string{{"--attempt", "-1"}, {"--attempt", "1", "--follow"}, {"--attempt", "x"}} {
		got := invocation{api: api}.call(t, append([]string{"logs", "e-1"}, wrong...)...)
		got.want(t, exitUsage, "")
		got.wantStderr(t, "--attempt")
	}
}

func TestLogsJSON(t *testing.T) {
	t.Parallel()
	got := invocation{api: logAPI(t)}.call(t, "logs", "e-1", "--json", "--stream", "stdout")
	page := func(content, offset, next string) string {
		return "{\n  \"content\": " + content + ",\n  \"offset\": " + offset + ",\n  \"next_offset\": " + next +
			",\n  \"total_size\": 7,\n  \"truncated\": false\n}\n"
	}
	got.want(t, exitDone, page(`"one\n"`, "0", "4")+page(`"two"`, "4", "7"))
}

func TestLogsUnknown(t *testing.T) {
	t.Parallel()
	api := problem(404, `{"detail": "there is no execution \"e-2\"", "code": "not_found"}`)
	got := invocation{api: api}.call(t, "logs", "e-2")
	got.want(t, exitOther, "")
	got.wantStderr(t, "attune: there is no execution \"e-2\"\n")
}

// TestLogsOnATerminal: what an action wrote cannot take the terminal over. A pipe gets the bytes.
func TestLogsOnATerminal(t *testing.T) {
	t.Parallel()
	const content = `{"content": "a\u001b[31mred\u001b]0;title\u0007\tb\r\nc\rd\u0000\u007f\u009b2J\n", "offset": 0, ` +
		`"next_offset": 40, "total_size": 40}`
	const written = "a\x1b[31mred\x1b]0;title\a\tb\r\nc\rd\x00\x7f\u009b2J\n"
	const shown = "a␛[31mred␛]0;title␇\tb\nc␍d␀␡\ufffd2J\n"
	api := routes(t, map[string]http.HandlerFunc{
		"GET /api/v1/executions/e-1":             data(execution("completed", "")),
		"GET /api/v1/executions/e-1/logs/stdout": data(content),
		"GET /api/v1/executions/e-1/logs/stderr": data(content),
	})
	for name, test := range map[string]struct {
		terminal       bool
		args           []string
		stdout, stderr string
	}{
		"pipe":              {false, nil, written, written},
		"terminal":          {true, nil, shown, shown},
		"terminal, raw":     {true, []string{"--raw"}, written, written},
		"terminal, follows": {true, []string{"--follow"}, shown, shown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invocation{api: api, terminal: test.terminal, progress: test.terminal}.call(t,
				append([]string{"logs", "e-1"}, test.args...)...)
			got.want(t, exitDone, test.stdout)
			if got.stderr != test.stderr {
				t.Errorf("stderr %q, want %q", got.stderr, test.stderr)
			}
		})
	}
}
