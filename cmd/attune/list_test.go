package main

import (
	"net/http"
	"strings"
	"testing"
)

// pagedExecutions serves three executions, two a page at most.
func pagedExecutions(t *testing.T, asked *[]string) http.Handler {
	return routes(t, map[string]http.HandlerFunc{"GET /api/v1/executions": func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.RawQuery)
		first := `{"id": "e-1", "action": "a.b", "status": "completed", "created_at": "2026-01-15T12:00:00Z",
			"started_at": "2026-01-15T12:00:01Z", "finished_at": "2026-01-15T12:00:02.5Z"}`
		second := `{"id": "e-2", "action": "a.b", "status": "failed", "reason": "oom", "created_at": "2026-01-15T12:00:00Z"}`
		body := `{"data": [` + first + `,` + second + `], "pagination": {"next_cursor": "more"}}`
		switch {
		case r.URL.Query().Get("cursor") == "more":
			body = `{"data": [` + strings.Replace(first, "e-1", "e-3", 1) + `], "pagination": {"next_cursor": ""}}`
		case r.URL.Query().Get("limit") == "1":
			body = `{"data": [` + first + `], "pagination": {"next_cursor": "more"}}`
		}
		_, _ = w.Write([]byte(body))
	}})
}

func TestExecutionList(t *testing.T) {
	t.Parallel()
	one := "e-1\ta.b\tcompleted\t-\t2026-01-15T12:00:00Z\t1.500s\n"
	two := "e-2\ta.b\tfailed\toom\t2026-01-15T12:00:00Z\t-\n"
	three := strings.Replace(one, "e-1", "e-3", 1)
	for name, test := range map[string]struct {
		args   []string
		stdout string
		asked  string
	}{
		"all":     {[]string{"--limit", "0"}, one + two + three, " cursor=more"},
		"default": {nil, one + two + three, "limit=20 cursor=more&limit=18"},
		"one":     {[]string{"--limit", "1"}, one, "limit=1"},
		"filtered": {[]string{"--limit", "1", "--pack", "a", "--status", "failed", "--action", "a.b"}, one,
			"action=a.b&limit=1&pack=a&status=failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			got := invocation{api: pagedExecutions(t, &asked)}.call(t, append([]string{"execution", "list"}, test.args...)...)
			got.want(t, exitDone, test.stdout)
			if strings.Join(asked, " ") != test.asked {
				t.Errorf("asked for %q, want %q", asked, test.asked)
			}
		})
	}
}

func TestListJSONJoinsThePages(t *testing.T) {
	t.Parallel()
	var asked []string
	got := invocation{api: pagedExecutions(t, &asked)}.call(t, "execution", "list", "--limit", "0", "--json")
	if got.status != exitDone || strings.Count(got.stdout, `"id"`) != 3 || !strings.HasPrefix(got.stdout, "[\n  {") {
		t.Errorf("status %d, stdout %q", got.status, got.stdout)
	}
	invocation{api: data(`[]`)}.call(t, "pack", "list", "--json").want(t, exitDone, "[]\n")
}

func TestTableOnATerminal(t *testing.T) {
	t.Parallel()
	packs := data(`[{"ref": "weather", "version": "1.0.0", "label": "Wetter für \u001b[2Jalle"}, ` +
		`{"ref": "a-rather-long-name", "version": ""}]`)
	plain := invocation{api: packs, terminal: true, env: map[string]string{"NO_COLOR": "1"}}.call(t, "pack", "list")
	plain.want(t, exitDone, ""+
		"PACK                VERSION  UPDATED  LABEL\n"+
		"weather             1.0.0             Wetter für  [2Jalle\n"+
		"a-rather-long-name  -                 \n")
	colored := invocation{api: packs, terminal: true}.call(t, "pack", "list")
	if !strings.HasPrefix(colored.stdout, "\x1b[1mPACK\x1b[0m                \x1b[1mVERSION") {
		t.Errorf("stdout %q", colored.stdout)
	}
}

func TestExecutionShowAndCancel(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{
		"GET /api/v1/executions/e-1": data(execution("failed", `, "reason": "exception", "exit_code": 1,
			"parameters": {"a": [1, 2]},
			"failure": {"error": "no", "error_type": "ValueError", "traceback": "…"}`)),
		"POST /api/v1/executions/e-1/cancel": data(execution("canceling", "")),
	})
	invocation{api: api}.call(t, "execution", "show", "e-1").want(t, exitDone, "execution\te-1\naction\tweather.report\n"+
		"status\tfailed\nreason\texception\nexit status\t1\nattempt\t1\ncreated\t2026-01-15T12:00:00Z\n"+
		"parameters\t{\"a\":[1,2]}\nerror type\tValueError\nerror\tno\n")
	invocation{api: api}.call(t, "execution", "cancel", "e-1").want(t, exitDone, "e-1 canceling\n")
}

func TestExecutionShowTellsWhatItTook(t *testing.T) {
	t.Parallel()
	for usage, want := range map[string]string{
		`{"cpu_seconds": 0.4205, "peak_memory_bytes": 32505856, "throttled_seconds": 0, "isolation": "runc"}`: "" +
			"cpu time\t0.420s\nthrottled\t0.000s\npeak memory\t31 MiB\nisolation\trunc\noutput files\t2\n",
		`{"cpu_seconds": 70, "peak_memory_bytes": 1610612736, "throttled_seconds": 1.5}`: "" +
			"cpu time\t70.000s\nthrottled\t1.500s\npeak memory\t1.5 GiB\noutput files\t2\n",
	} {
		api := routes(t, map[string]http.HandlerFunc{"GET /api/v1/executions/e-1": data(execution("completed", `, "usage": `+
			usage+`,
			"outputs": [{"name": "a", "size": 1, "sha256": "…"}, {"name": "b", "size": 2, "sha256": "…"}]`))})
		invocation{api: api}.call(t, "execution", "show", "e-1").want(t, exitDone, "execution\te-1\naction\tweather.report\n"+
			"status\tcompleted\nattempt\t1\ncreated\t2026-01-15T12:00:00Z\n"+want)
	}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ stats, stdout string }{
		"idle": {`{"waiting": 0, "running": 0, "limit": null, "avg_wait_time_seconds": null, "oldest_wait_seconds": null}`,
			"waiting\t0\nrunning\t0\nlimit\tnone\n"},
		"going": {`{"waiting": 3, "running": 1, "limit": 1, "avg_wait_time_seconds": 1.25, "oldest_wait_seconds": 2}`,
			"waiting\t3\nrunning\t1\nlimit\t1\naverage wait\t1.2s\noldest wait\t2.0s\n"},
		"keys": {`{"waiting": 1, "running": 1, "limit": null, "keys": [{"key": "{\"city\":\"Oslo\"}", "waiting": 1, ` +
			`"running": 1, "limit": 1, "avg_wait_time_seconds": 2, "oldest_wait_seconds": 2}]}`,
			"waiting\t1\nrunning\t1\nlimit\tnone\n{\"city\":\"Oslo\"}\t1\t1\t1\t2.0s\t2.0s\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := routes(t, map[string]http.HandlerFunc{"GET /api/v1/actions/a.b/queue-stats": data(test.stats)})
			invocation{api: api}.call(t, "queue", "a.b").want(t, exitDone, test.stdout)
			invocation{api: api}.call(t, "queue", "show", "a.b").want(t, exitDone, test.stdout)
		})
	}
}

func TestQueueList(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{"GET /api/v1/queues": data(`[
		{"action": "a.b", "key": "{\"city\":\"Oslo\"}", "waiting": 3, "running": 1, "limit": 1,
		"avg_wait_time_seconds": 1.25, "oldest_wait_seconds": 2},
		{"action": "c.d", "waiting": 0, "running": 1, "limit": null, "avg_wait_time_seconds": null,
		"oldest_wait_seconds": null}]`)})
	invocation{api: api}.call(t, "queue", "list").want(t, exitDone, ""+
		"a.b\t{\"city\":\"Oslo\"}\t3\t1\t1\t1.2s\t2.0s\n"+
		"c.d\t-\t0\t1\t-\t-\t-\n")
}
