package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// execution is the document of one in a state; more is put at its end.
func execution(status, more string) string {
	return fmt.Sprintf(`{"id": "e-1", "action": "weather.report", "status": %q, "attempt": 1, `+
		`"created_at": "2026-01-15T12:00:00Z"%s}`,
		status, more)
}

// submitting is an API that takes an execution and then answers about it.
func submitting(t *testing.T, about http.HandlerFunc, more map[string]http.HandlerFunc) http.Handler {
	handlers := map[string]http.HandlerFunc{
		"POST /api/v1/executions":    data(execution("queued", `, "position": 2`)),
		"GET /api/v1/executions/e-1": about,
	}
	for pattern, handler := range more {
		handlers[pattern] = handler
	}
	return routes(t, handlers)
}

func TestRunPrintsTheID(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{"POST /api/v1/executions": func(w http.ResponseWriter, r *http.Request) {
		want := map[string]any{"action": "weather.report", "parameters": map[string]any{"city": "Oslo", "days": 3.0}}
		if diff := cmp.Diff(want, bodyOf(t, r)); diff != "" {
			t.Error(diff)
		}
		data(execution("queued", `, "position": 2`))(w, r)
	}})
	args := []string{"run", "weather.report", "-p", "city=Oslo", "-p", "days:=3"}
	invocation{api: api}.call(t, args...).want(t, exitDone, "e-1\n")
	got := invocation{api: api, terminal: true, env: map[string]string{"NO_COLOR": "1"}}.call(t, args...)
	got.want(t, exitDone, "e-1 queued, position 2\nfollow it with: attune logs -f e-1\n")
}

func TestRunUnderAKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "order-7"} {
		api := routes(t, map[string]http.HandlerFunc{"POST /api/v1/executions": func(w http.ResponseWriter, r *http.Request) {
			if got, given := r.Header.Get("Idempotency-Key"), len(r.Header["Idempotency-Key"]); got != key ||
				(given > 0) != (key != "") {
				t.Errorf("Idempotency-Key %q, %d times", got, given)
			}
			data(execution("queued", ""))(w, r)
		}})
		args := []string{"run", "weather.report"}
		if key != "" {
			args = append(args, "--idempotency-key", key)
		}
		invocation{api: api}.call(t, args...).want(t, exitDone, "e-1\n")
	}
}

func TestRunWait(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end    string
		status int
		stdout string
		stderr []string
	}{
		"completed": {execution("completed", `, "result": {"b": 1, "a": "<"}`), exitDone,
			"{\n  \"b\": 1,\n  \"a\": \"<\"\n}\n", nil},
		"no result": {execution("completed", ""), exitDone, "", nil},
		"exception": {execution("failed",
			`, "reason": "exception", "failure": {"error": "no such city", "error_type": "ValueError"}`), exitFailed, "",
			[]string{"attune: weather.report failed (exception): ValueError: no such city\n", "attune logs e-1"}},
		"exit status": {execution("failed", `, "reason": "exit_code", "exit_code": 7`), exitFailed, "",
			[]string{"failed (exit status 7)"}},
		"out of memory": {execution("failed", `, "reason": "oom"`), exitFailed, "",
			[]string{"failed (oom)", "attune logs e-1", "raise resources.memory"}},
		"out of pids": {execution("failed", `, "reason": "pids"`), exitFailed, "",
			[]string{"failed (pids)", "raise resources.pids"}},
		"disk is full": {execution("failed",
			`, "reason": "disk", "failure": {"error": "no space", "error_type": "OSError"}`), exitFailed, "",
			[]string{"failed (disk): OSError: no space", "raise resources.tmp"}},
		"timeout": {execution("timeout", `, "reason": "deadline"`), exitTimeout, "",
			[]string{"timeout (deadline)", "raise timeout"}},
		"waited too long": {execution("timeout", `, "reason": "queue_timeout"`), exitTimeout, "",
			[]string{"timeout (queue_timeout)", "attune queue show weather.report"}},
		"superseded": {execution("cancelled", `, "reason": "superseded"`), exitCancelled, "",
			[]string{"cancelled (superseded)", "a newer execution took its place"}},
		"cancelled": {execution("cancelled", ""), exitCancelled, "", []string{"weather.report cancelled\n"}},
		"abandoned": {execution("abandoned", `, "reason": "worker_lost"`), exitOther, "",
			[]string{"abandoned (worker_lost)", "may have done a part"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := submitting(t, inTurn(data(execution("queued", "")), data(execution("running", "")), data(test.end)), nil)
			got := invocation{api: api}.call(t, "run", "weather.report", "--wait")
			got.want(t, test.status, test.stdout)
			got.wantStderr(t, test.stderr...)
		})
	}
}

func TestRunWaitJSON(t *testing.T) {
	t.Parallel()
	api := submitting(t, data(`{"id": "e-1", "status": "failed", "reason": "oom", "later_addition": [1]}`), nil)
	got := invocation{api: api}.call(t, "run", "weather.report", "--wait", "--json")
	got.want(t, exitFailed, `{
  "id": "e-1",
  "status": "failed",
  "reason": "oom",
  "later_addition": [
    1
  ]
}
`)
}

func TestRunFollow(t *testing.T) {
	t.Parallel()
	more := map[string]http.HandlerFunc{
		"GET /api/v1/executions/e-1/logs/stdout": func(w http.ResponseWriter, r *http.Request) {
			data(map[string]string{
				"0": `{"content": "one\n", "offset": 0, "next_offset": 4, "total_size": 8}`,
				"4": `{"content": "two\n", "offset": 4, "next_offset": 8, "total_size": 8}`,
				"8": `{"content": "", "offset": 8, "next_offset": 8, "total_size": 8}`,
			}[r.URL.Query().Get("offset")])(w, r)
		},
		"GET /api/v1/executions/e-1/logs/stderr": inTurn(
			data(`{"content": "", "offset": 0, "next_offset": 0, "total_size": 0}`),
			data(`{"content": "oh\n", "offset": 0, "next_offset": 3, "total_size": 3}`),
		),
	}
	about := func() http.HandlerFunc {
		return inTurn(data(execution("running", "")), data(execution("completed", `, "result": [1]`)))
	}
	got := invocation{api: submitting(t, about(), more)}.call(t, "run", "weather.report", "--follow")
	got.want(t, exitDone, "one\ntwo\n[\n  1\n]\n")
	if got.stderr != "oh\n" {
		t.Errorf("stderr %q", got.stderr)
	}
}

func TestRunFollowJSONKeepsStdoutClean(t *testing.T) {
	t.Parallel()
	more := map[string]http.HandlerFunc{
		"GET /api/v1/executions/e-1/logs/stdout": data(`{"content": "one", "offset": 0, "next_offset": 3, "total_size": 3}`),
		"GET /api/v1/executions/e-1/logs/stderr": data(`{"content": "", "offset": 0, "next_offset": 0, "total_size": 0}`),
	}
	api := submitting(t, data(`{"id": "e-1", "status": "completed"}`), more)
	got := invocation{api: api}.call(t, "run", "weather.report", "--follow", "--json")
	got.want(t, exitDone, "{\n  \"id\": \"e-1\",\n  \"status\": \"completed\"\n}\n")
	if got.stderr != "one" {
		t.Errorf("stderr %q", got.stderr)
	}
}

func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	api := submitting(t, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		data(execution("running", ""))(w, r)
	}, nil)
	got := invocation{ctx: ctx, api: api}.call(t, "run", "weather.report", "--wait")
	got.want(t, exitInterrupted, "")
	got.wantStderr(t, "execution e-1 goes on", "attune execution cancel e-1")
}

func TestRunWaitShowsWhereItStands(t *testing.T) {
	t.Parallel()
	api := submitting(t, inTurn(data(execution("queued", `, "position": 4`)),
		data(execution("completed", `, "result": 1`))), nil)
	got := invocation{api: api, progress: true}.call(t, "run", "weather.report", "--wait")
	got.want(t, exitDone, "1\n")
	got.wantStderr(t, clearLine+"weather.report queued, position 4 (")
	if !strings.HasSuffix(got.stderr, clearLine) {
		t.Errorf("stderr %q leaves the status line", got.stderr)
	}
}

func TestRunWaitSaysThatThereIsNoResult(t *testing.T) {
	t.Parallel()
	api := submitting(t, data(execution("completed", "")), nil)
	got := invocation{api: api, progress: true}.call(t, "run", "weather.report", "--wait")
	got.want(t, exitDone, "")
	got.wantStderr(t, "weather.report completed without a result, or with one above 1 MiB")
}

func TestWaitForgivesAServiceThatIsAway(t *testing.T) {
	t.Parallel()
	away := problem(503, `{"detail": "the database does not answer", "code": "unavailable"}`)
	api := submitting(t, inTurn(away, away, data(execution("completed", ""))), nil)
	got := invocation{api: api}.call(t, "run", "weather.report", "--wait")
	got.want(t, exitDone, "")
	if want := "attune: the database does not answer; trying again\n"; got.stderr != want {
		t.Errorf("stderr %q, want %q", got.stderr, want)
	}
}

func TestRunRefused(t *testing.T) {
	t.Parallel()
	refusal := problem(422, `{"detail": "the parameters do not fit", "code": "invalid",
		"errors": [{"field": "parameters.days", "message": "got string, want integer"}]}`)
	for name, test := range map[string]struct {
		flag string
		hint bool
	}{
		"a string":  {"days=3", true},
		"not JSON?": {"days:=\"3\"", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invocation{api: refusal}.call(t, "run", "weather.report", "-p", test.flag, "--wait")
			got.want(t, exitOther, "")
			got.wantStderr(t, "attune: the parameters do not fit\n  parameters.days: got string, want integer\n")
			if strings.Contains(got.stderr, "name:=json") != test.hint {
				t.Errorf("stderr %q", got.stderr)
			}
		})
	}
}
