package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"attune"
)

// once sends the request under an idempotency key.
func once(key string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Idempotency-Key", key) }
}

// wantQueued checks how many executions there are.
func (s *service) wantQueued(want int) {
	s.t.Helper()
	if got := data[[]attune.Execution](s.t, s.get("/api/v1/executions?limit=500"), 200); len(got) != want {
		s.t.Errorf("there are %d executions, want %d", len(got), want)
	}
}

func TestSubmitOnce(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	const path = "/api/v1/executions"
	send := func(body, key string, edits ...func(*http.Request)) answer {
		t.Helper()
		return s.do(http.MethodPost, path, body, append(edits, once(key))...)
	}
	first := data[attune.Execution](t, send(`{"action": "weather.hello", "parameters": {"name": "Ada"}}`, "order-7"), 202)
	again := send(`{ "parameters":{"name" : "Ada"},"action":"weather.hello"}`, "order-7")
	if got := data[attune.Execution](t, again, 202); got.ID != first.ID ||
		again.Header.Get("Location") != path+"/"+first.ID {
		t.Errorf("got %s at %q, want %s", got.ID, again.Header.Get("Location"), first.ID)
	}
	s.wantQueued(1)

	p := wantProblem(t, send(`{"action": "weather.hello", "parameters": {"name": "Eva"}}`, "order-7"), 422,
		attune.CodeInvalid)
	if len(p.Errors) != 1 || p.Errors[0].Field != "Idempotency-Key" {
		t.Errorf("got %+v", p.Errors)
	}
	s.wantQueued(1)

	other := send(`{"action": "weather.hello", "parameters": {"name": "Ada"}}`, "order-7",
		as(s.token(attune.RoleOperator)))
	if got := data[attune.Execution](t, other, 202); got.ID == first.ID {
		t.Error("another token's key is not this one's")
	}
	s.wantQueued(2)

	longest := strings.Repeat("k", 255)
	data[attune.Execution](t, send(`{"action": "weather.hello"}`, longest), 202)
	for _, key := range []string{longest + "k", "two words", "a\ttab", "é"} {
		p := wantProblem(t, send(`{"action": "weather.hello"}`, key), 422, attune.CodeInvalid)
		if p.Errors[0].Field != "Idempotency-Key" {
			t.Errorf("%q: got %+v", key, p.Errors)
		}
	}
	// What was refused leaves the key free.
	wantProblem(t, send(`{"action": "weather.nothing"}`, "order-8"), 404, attune.CodeNotFound)
	data[attune.Execution](t, send(`{"action": "weather.hello"}`, "order-8"), 202)
	s.wantQueued(4)
}

func TestSubmitBatch(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	s.install(packFiles("tickets", "1.0.0"))
	const path = "/api/v1/executions/batch"
	const body = `{"executions": [{"action": "weather.hello", "parameters": {"n": 1.50}}, {"action": "tickets.hello"}, ` +
		`{"action": "weather.hello"}]}`
	made := data[[]attune.Execution](t, s.do(http.MethodPost, path, body), 202)
	var actions []string
	for _, e := range made {
		actions = append(actions, e.Action)
	}
	if !slices.Equal(actions, []string{"weather.hello", "tickets.hello", "weather.hello"}) || *made[0].Position != 1 ||
		*made[2].Position != 2 {
		t.Errorf("got %+v", made)
	}
	s.wantQueued(3)

	first := data[[]attune.Execution](t, s.do(http.MethodPost, path, body, once("night")), 202)
	again := data[[]attune.Execution](t, s.do(http.MethodPost, path, body, once("night")), 202)
	if len(again) != 3 || again[0].ID != first[0].ID || again[2].ID != first[2].ID {
		t.Errorf("got %+v, want %+v", again, first)
	}
	s.wantQueued(6)
	wantProblem(t, s.do(http.MethodPost, path, `{"executions": [{"action": "weather.hello"}]}`, once("night")), 422,
		attune.CodeInvalid)
	s.wantQueued(6)
}

func TestSubmitBatchIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	s.install(packFiles("tickets", "1.0.0"))
	limited := as(s.token(attune.RoleOperator, "tickets"))
	hidden := data[attune.Action](t, s.get("/api/v1/actions/weather.hello"), 200).ID
	const good = `{"action": "tickets.hello"}`
	tests := map[string]struct {
		members string
		status  int
		code    attune.Code
		field   string
		edits   []func(*http.Request)
	}{
		"wrong parameter": {good + `, {"action": "weather.hello", "parameters": {"name": 5}}`, 422, attune.CodeInvalid,
			"executions.1.parameters.name", nil},
		"unknown action": {good + `, ` + good + `, {"action": "weather.nothing"}`, 422, attune.CodeInvalid, "executions.2",
			nil},
		"not a ref": {`{"action": "../../etc\u0000"}, ` + good, 422, attune.CodeInvalid, "executions.0.action", nil},
		"out of reach": {good + `, {"action": "weather.hello"}`, 422, attune.CodeInvalid, "executions.1.action",
			[]func(*http.Request){limited}},
		"out of reach, id": {good + `, {"action": "` + hidden + `"}`, 422, attune.CodeInvalid, "executions.1.action",
			[]func(*http.Request){limited}},
		"no action":       {good + `, {}`, 422, attune.CodeInvalid, "executions.1", nil},
		"action not text": {good + `, {"action": 5}`, 422, attune.CodeInvalid, "executions.1.action", nil},
		"unknown member": {good + `, {"action": "weather.hello", "status": "completed"}`, 400, attune.CodeMalformed,
			"executions.1.status", nil},
		"duplicate member": {good + `, {"action": "weather.hello", "action": "x"}`, 400, attune.CodeMalformed, "", nil},
		"none":             {``, 422, attune.CodeInvalid, "executions", nil},
		"too many":         {strings.Repeat(good+",", 1000) + good, 422, attune.CodeInvalid, "executions", nil},
		"a member too long": {good + `, {"action": "weather.hello", "parameters": {"name": "` + strings.Repeat("x", 1<<20) +
			`"}}`, 422, attune.CodeInvalid, "executions.1.parameters", nil},
		"all too long": {`{"action": "` + strings.Repeat("x", 8<<20) + `"}`, 413, attune.CodeTooLarge, "", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := s.do(http.MethodPost, "/api/v1/executions/batch", `{"executions": [`+test.members+`]}`, test.edits...)
			p := wantProblem(t, a, test.status, test.code)
			if named := slices.ContainsFunc(p.Errors,
				func(place attune.Problem) bool { return place.Field == test.field }); test.field != "" && !named {
				t.Errorf("got places %+v, want %s", p.Errors, test.field)
			}
		})
	}
	s.wantQueued(0)
}

func TestSubmitBatchOfAThousand(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	members := make([]string, 1000)
	for i := range members {
		members[i] = fmt.Sprintf(`{"action": "weather.hello", "parameters": {"n": %d}}`, i)
	}
	made := data[[]attune.Execution](t, s.do(http.MethodPost, "/api/v1/executions/batch",
		`{"executions": [`+strings.Join(members, ",")+`]}`), 202)
	for i, e := range made {
		if e.Position == nil || *e.Position != i+1 || e.Parameters != nil {
			t.Fatalf("member %d is %+v", i, e)
		}
	}
	if len(made) != 1000 {
		t.Errorf("got %d", len(made))
	}
}

func TestSubmitRejected(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	s.setPolicy("actions/weather.hello", `{"quota": {"max_executions": 2, "period_seconds": 86400}}`)
	batch := func(n int) answer {
		members := strings.TrimSuffix(strings.Repeat(`{"action": "weather.hello"},`, n), ",")
		return s.do(http.MethodPost, "/api/v1/executions/batch", `{"executions": [`+members+`]}`)
	}
	wantProblem(t, batch(3), 429, attune.CodeRejected)
	s.wantQueued(0)
	wantStatus(t, batch(2), 202)
	a := s.do(http.MethodPost, "/api/v1/executions", `{"action": "weather.hello"}`)
	wantProblem(t, a, 429, attune.CodeRejected)
	if a.Header.Get("Retry-After") == "" {
		t.Error("no word of when to come back")
	}
	s.wantQueued(2)
}
