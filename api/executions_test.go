package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"attune"
	"attune/storage/logs"
)

func TestExecutionLife(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))

	const sent = `{"name":"Ada","n":12345678901234567890.10,"o":{"b":1,"a":2}}`
	a := s.do(http.MethodPost, "/api/v1/executions", `{"action": "weather.hello", "parameters": `+sent+`}`)
	made := data[attune.Execution](t, a, http.StatusAccepted)
	if made.Status != attune.StatusQueued || made.Position == nil || *made.Position != 1 || made.PackVersion != "1.0.0" {
		t.Errorf("got %+v", made)
	}
	if got := a.Header.Get("Location"); got != "/api/v1/executions/"+made.ID {
		t.Errorf("Location %q", got)
	}
	if !strings.Contains(string(a.body), "12345678901234567890.1") {
		t.Errorf("the digits of a parameter changed: %s", a.body)
	}
	got := data[attune.Execution](t, s.get(a.Header.Get("Location")), 200)
	if got.ID != made.ID || string(got.Parameters) != string(made.Parameters) {
		t.Errorf("got %+v", got)
	}

	ended := data[attune.Execution](t, s.do(http.MethodPost, "/api/v1/executions/"+made.ID+"/cancel", ""),
		http.StatusAccepted)
	if ended.Status != attune.StatusCancelled {
		t.Errorf("got %s", ended.Status)
	}
	wantStatus(t, s.do(http.MethodPost, "/api/v1/executions/"+made.ID+"/cancel", ""), http.StatusAccepted)
}

func TestSubmitByID(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	actions := data[[]attune.Action](t, s.get("/api/v1/actions?pack=weather"), 200)
	if len(actions) != 1 || actions[0].Ref != "weather.hello" {
		t.Fatalf("got %+v", actions)
	}
	if got := data[attune.Action](t, s.get("/api/v1/actions/"+actions[0].ID), 200); got.Ref != "weather.hello" {
		t.Errorf("got %+v", got)
	}
	if got := s.submit(actions[0].ID); got.Action != "weather.hello" {
		t.Errorf("got %+v", got)
	}
}

func TestQueueStats(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	for want := 1; want <= 3; want++ {
		if got := s.submit("weather.hello"); *got.Position != want {
			t.Errorf("position %d, want %d", *got.Position, want)
		}
	}
	stats := data[attune.QueueStats](t, s.get("/api/v1/actions/weather.hello/queue-stats"), 200)
	if stats.Waiting != 3 || stats.Running != 0 || *stats.Limit != 1 || stats.OldestWaitSeconds == nil ||
		stats.AvgWaitTimeSeconds == nil {
		t.Errorf("got %+v", stats)
	}
	wantProblem(t, s.get("/api/v1/actions/weather.nothing/queue-stats"), 404, attune.CodeNotFound)
}

func TestSubmitRefuses(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	s.install(packFiles("secretive", "1.0.0", "api_key"))
	deep := strings.Repeat(`{"o":`, 80) + "1" + strings.Repeat("}", 80)
	tests := map[string]struct {
		body   string
		status int
		code   attune.Code
		field  string
	}{
		"unknown action": {`{"action": "weather.nothing"}`, 404, attune.CodeNotFound, ""},
		"unknown pack":   {`{"action": "nobody.hello"}`, 404, attune.CodeNotFound, ""},
		"not a ref":      {`{"action": "../../etc\u0000"}`, 404, attune.CodeNotFound, ""},
		"unknown id":     {`{"action": "0195511c-5b51-7f00-8e2b-6c3a7f9e8b21"}`, 404, attune.CodeNotFound, ""},
		"wrong parameter": {`{"action": "weather.hello", "parameters": {"name": 5}}`, 422, attune.CodeInvalid,
			"parameters.name"},
		"unknown parameter": {`{"action": "weather.hello", "parameters": {"nam": "x"}}`, 422, attune.CodeInvalid,
			"parameters.nam"},
		"missing secret":       {`{"action": "secretive.hello"}`, 422, attune.CodeInvalid, "secrets.api_key"},
		"no action":            {`{}`, 422, attune.CodeInvalid, ""},
		"action not text":      {`{"action": 5}`, 422, attune.CodeInvalid, "action"},
		"parameters no object": {`{"action": "weather.hello", "parameters": [1]}`, 422, attune.CodeInvalid, "parameters"},
		"unknown member":       {`{"action": "weather.hello", "worker": "mine"}`, 400, attune.CodeMalformed, "worker"},
		"state assigned":       {`{"action": "weather.hello", "status": "completed"}`, 400, attune.CodeMalformed, "status"},
		"other case":           {`{"Action": "weather.hello"}`, 400, attune.CodeMalformed, "Action"},
		"duplicate member":     {`{"action": "weather.hello", "action": "weather.hello"}`, 400, attune.CodeMalformed, ""},
		"duplicate inside": {`{"action": "weather.hello", "parameters": {"o": {"a": 1, "a": 2}}}`, 400,
			attune.CodeMalformed, ""},
		"deep":           {`{"action": "weather.hello", "parameters": ` + deep + `}`, 400, attune.CodeMalformed, ""},
		"broken":         {`{"action": `, 400, attune.CodeMalformed, ""},
		"rubbish behind": {`{"action": "weather.hello"} x`, 400, attune.CodeMalformed, ""},
		"not UTF-8": {"{\"action\": \"weather.hello\", \"parameters\": {\"name\": \"\xff\"}}", 400,
			attune.CodeMalformed, ""},
		"not an object": {`[]`, 422, attune.CodeInvalid, ""},
		"empty":         {``, 400, attune.CodeMalformed, ""},
		"too large":     {`{"action": "` + strings.Repeat("x", 1<<20) + `"}`, 413, attune.CodeTooLarge, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := wantProblem(t, s.do(http.MethodPost, "/api/v1/executions", test.body), test.status, test.code)
			named := slices.ContainsFunc(p.Errors, func(place attune.Problem) bool { return place.Field == test.field })
			if test.field != "" && !named {
				t.Errorf("got places %+v, want %s", p.Errors, test.field)
			}
		})
	}
	wantProblem(t, s.do(http.MethodPost, "/api/v1/executions", `action=x`,
		contentType("application/x-www-form-urlencoded")), 415, "unsupported_media_type")
	if queued := data[[]attune.Execution](t, s.get("/api/v1/executions"), 200); len(queued) != 0 {
		t.Errorf("something was queued: %+v", queued)
	}
	wantStatus(t, s.do(http.MethodPut, "/api/v1/secrets/api_key?pack=secretive", `{"value": "x"}`), http.StatusNoContent)
	s.submit("secretive.hello")
}

func TestListExecutions(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	s.install(packFiles("tickets", "1.0.0"))
	before := time.Now().Add(-time.Minute)
	ids := make([]string, 5)
	for i := range ids {
		ids[i] = s.submit("weather.hello").ID
	}
	other := s.submit("tickets.hello").ID
	wantStatus(t, s.do(http.MethodPost, "/api/v1/executions/"+ids[0]+"/cancel", ""), http.StatusAccepted)

	count := func(query string, want int) {
		t.Helper()
		if got := data[[]attune.Execution](t, s.get("/api/v1/executions?"+query), 200); len(got) != want {
			t.Errorf("%s: got %d executions, want %d", query, len(got), want)
		}
	}
	count("", 6)
	count("action=weather.hello", 5)
	count("pack=tickets", 1)
	count("status=queued", 5)
	count("status=cancelled", 1)
	count("status=cancelled,queued", 6)
	count("status=cancelled&status=queued", 6)
	count("status=running&action=weather.hello", 0)
	count("since="+url.QueryEscape(before.Format(time.RFC3339)), 6)
	count("since="+url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339Nano)), 0)

	// Pages, newest first, without overlap and without a gap.
	seen := map[string]bool{}
	cursor, pages := "", 0
	for {
		a := s.get("/api/v1/executions?limit=4&cursor=" + url.QueryEscape(cursor))
		items := data[[]attune.Execution](t, a, 200)
		if pages == 0 && items[0].ID != other {
			t.Errorf("the newest is %s, got %s", other, items[0].ID)
		}
		for _, item := range items {
			seen[item.ID] = true
		}
		pages++
		if cursor = nextCursor(t, a); cursor == "" {
			break
		}
	}
	if len(seen) != 6 || pages != 2 {
		t.Errorf("got %d executions on %d pages", len(seen), pages)
	}

	for query, field := range map[string]string{
		"status=done": "status", "status=queued,": "status", "since=yesterday": "since", "limit=0": "limit",
		"limit=501": "limit", "limit=x": "limit", "cursor=abc": "cursor", "pack=A%00": "pack", "action=weather": "action",
	} {
		if p := wantProblem(t, s.get("/api/v1/executions?"+query), 422, attune.CodeInvalid); p.Errors[0].Field != field {
			t.Errorf("%s: got %+v", query, p.Errors)
		}
	}
	wantProblem(t, s.get("/api/v1/executions?state=queued"), 400, attune.CodeMalformed)
}

func TestExecutionLog(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	e := s.submit("weather.hello")
	path := "/api/v1/executions/" + e.ID + "/logs/"
	if page := data[attune.LogPage](t, s.get(path+"stdout"), 200); page != (attune.LogPage{}) {
		t.Errorf("got %+v before it ran", page)
	}

	writer, err := s.logs.Create(logs.ExecutionPrefix("weather", "hello", e.CreatedAt, e.ID), "stdout", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write([]byte("hello\nworld\n")); err != nil {
		t.Fatal(err)
	}
	if page := data[attune.LogPage](t, s.get(path+"stdout?offset=6"), 200); page.Content != "world\n" {
		t.Errorf("got %+v while it runs", page)
	}
	if _, err := writer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	page := data[attune.LogPage](t, s.get(path+"stdout?offset=0&limit=5"), 200)
	if want := (attune.LogPage{Content: "hello", NextOffset: 5, TotalSize: 12}); page != want {
		t.Errorf("got %+v, want %+v", page, want)
	}

	for _, stream := range []string{"stdin", "result", "STDOUT", "stdout.log", "..", "..%2f..%2fpacks", "stdout%00",
		"%2e%2e%2f"} {
		wantStatus(t, s.get(path+stream), 404)
	}
	for _, id := range []string{"0195511c-5b51-7f00-8e2b-6c3a7f9e8b21", "x", strings.ToUpper(e.ID), "%00",
		"..%2f" + e.ID} {
		a := s.get("/api/v1/executions/" + id + "/logs/stdout")
		if a.StatusCode != 404 && a.StatusCode != 422 {
			t.Errorf("%s: got %d", id, a.StatusCode)
		}
	}
	for _, query := range []string{"offset=-1", "limit=0", "limit=1048577", "offset=x", "offset=99999999999999999999"} {
		wantProblem(t, s.get(path+"stdout?"+query), 422, attune.CodeInvalid)
	}
}

// retried plays the first attempt's end: it failed, and the second one has its place in the queue.
func (s *service) retried(execution string) {
	s.t.Helper()
	ctx := s.t.Context()
	_, err := s.db.Pool().Exec(ctx, `insert into attempts (execution_id, attempt, status, reason, worker, scheduled_at,
		finished_at)
		values ($1, 1, 'failed', 'exit_code', 'host-1', now(), now())`, execution)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.db.Pool().Exec(ctx, `update waiting set attempt = 2 where id = $1`, execution); err != nil {
		s.t.Fatal(err)
	}
}

func TestExecutionLogOfAnAttempt(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	e := s.submit("weather.hello")
	top := logs.ExecutionPrefix("weather", "hello", e.CreatedAt, e.ID)
	for i, text := range []string{"it broke\n", "it worked\n"} {
		writer, err := s.logs.CreateAttempt(top, i+1, "stdout", 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.End([]string{logs.AttemptPrefix(top, 1), top}[i]); err != nil {
			t.Fatal(err)
		}
		if err := writer.Upload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	path := "/api/v1/executions/" + e.ID + "/logs/stdout"
	for _, query := range []string{"", "?attempt=1"} {
		if page := data[attune.LogPage](t, s.get(path+query), 200); page.Content != "it worked\n" {
			t.Errorf("%s before the retry: %+v", query, page)
		}
	}
	wantProblem(t, s.get(path+"?attempt=2"), 404, attune.CodeNotFound)

	s.retried(e.ID)
	for query, want := range map[string]string{"": "it worked\n", "?attempt=2": "it worked\n", "?attempt=1": "it broke\n",
		"?attempt=1&offset=3": "broke\n"} {
		if page := data[attune.LogPage](t, s.get(path+query), 200); page.Content != want {
			t.Errorf("%s: %+v, want %q", query, page, want)
		}
	}
	wantProblem(t, s.get(path+"?attempt=3"), 404, attune.CodeNotFound)
	for _, query := range []string{"?attempt=0", "?attempt=-1", "?attempt=x"} {
		wantProblem(t, s.get(path+query), 422, attune.CodeInvalid)
	}
}

func TestUnknownThings(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const id = "0195511c-5b51-7f00-8e2b-6c3a7f9e8b21"
	for _, route := range []string{
		"GET /packs/nobody", "DELETE /packs/nobody", "GET /packs/%00", "GET /packs/-", "GET /actions/nobody.x",
		"GET /actions/" + id,
		"GET /actions/%00", "GET /executions/" + id, "GET /executions/x", "POST /executions/" + id + "/cancel",
		"DELETE /secrets/nobody", "DELETE /secrets/%00", "GET /executions/" + id + "/why", "GET /executions/x/why",
		"DELETE /workers/nobody", "DELETE /workers/%00", "DELETE /workers/%ff",
		"DELETE /tokens/" + id, "DELETE /tokens/x", "GET /nothing", "GET /packs/a/b/c",
	} {
		method, path, _ := strings.Cut(route, " ")
		t.Run(route, func(t *testing.T) {
			wantProblem(t, s.do(method, "/api/v1"+path, ""), 404, attune.CodeNotFound)
		})
	}
	wantProblem(t, s.do(http.MethodPatch, "/api/v1/packs/weather", ""), 405, "method_not_allowed")
	if a := s.get(fmt.Sprintf("/api/v1/packs/%s", strings.Repeat("a", 5000))); a.StatusCode != 422 && a.StatusCode != 404 {
		t.Errorf("got %d", a.StatusCode)
	}
}
