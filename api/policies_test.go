package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"attune"
)

// policy finds what is in force for a scope; nil where the listing has nothing.
func (s *service) policy(scope string, edits ...func(*http.Request)) *attune.ScopedPolicy {
	s.t.Helper()
	all := data[[]attune.ScopedPolicy](s.t, s.get("/api/v1/policies", edits...), 200)
	i := slices.IndexFunc(all, func(p attune.ScopedPolicy) bool { return p.Scope == scope })
	if i < 0 {
		return nil
	}
	return &all[i]
}

func TestPolicyLife(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	const scope = "actions/weather.hello"
	if p := s.policy(scope); p == nil || p.Origin != attune.OriginPack || p.Policy.Concurrency.Limit != 1 {
		t.Errorf("the pack's own is %+v", p)
	}

	const sent = `{"concurrency": {"limit": 2, "key": ["name"], "total": 5, "method": "reject"},
		"rate_limit": {"max_executions": 9, "window_seconds": 60},
		"quota": {"max_executions": 100, "period_seconds": 86400}, "max_waiting": 50, "max_wait_seconds": 600}`
	var want attune.Policy
	if err := json.Unmarshal([]byte(sent), &want); err != nil {
		t.Fatal(err)
	}
	set := data[attune.ScopedPolicy](t, s.do(http.MethodPut, "/api/v1/policies/"+scope, sent), 200)
	if set.Scope != scope || set.Origin != attune.OriginOperator || set.UpdatedAt.IsZero() ||
		!samePolicy(t, set.Policy, want) {
		t.Errorf("got %+v", set)
	}
	if p := s.policy(scope); p == nil || !samePolicy(t, p.Policy, want) || p.Origin != attune.OriginOperator {
		t.Errorf("listed as %+v", p)
	}

	wantStatus(t, s.do(http.MethodDelete, "/api/v1/policies/"+scope, ""), http.StatusNoContent)
	if p := s.policy(scope); p == nil || p.Origin != attune.OriginPack {
		t.Errorf("after the removal it is %+v", p)
	}
	wantProblem(t, s.do(http.MethodDelete, "/api/v1/policies/"+scope, ""), 404, attune.CodeNotFound)

	for _, scope := range []string{"global", "packs/weather"} {
		set := data[attune.ScopedPolicy](t, s.do(http.MethodPut, "/api/v1/policies/"+scope, `{"concurrency": {"limit": 3}}`),
			200)
		if p := s.policy(scope); p == nil || set.Scope != scope || p.Policy.Concurrency.Limit != 3 {
			t.Errorf("%s: set as %+v, listed as %+v", scope, set, p)
		}
		wantStatus(t, s.do(http.MethodDelete, "/api/v1/policies/"+scope, ""), http.StatusNoContent)
	}
}

func samePolicy(t *testing.T, a, b attune.Policy) bool {
	t.Helper()
	one, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	other, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(one) == string(other)
}

// TestPolicyTakesItsBounds sends the largest numbers that the vocabulary allows, which the tags can only repeat.
func TestPolicyTakesItsBounds(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	const scope = "actions/weather.hello"
	largest := attune.Policy{
		Concurrency: &attune.Concurrency{Limit: attune.MaxConcurrency, Key: []string{"name"},
			Total: new(attune.MaxConcurrency)},
		RateLimit:  &attune.RateLimit{MaxExecutions: attune.MaxRate, WindowSeconds: attune.MaxPolicySeconds},
		Quota:      &attune.Quota{MaxExecutions: attune.MaxRate, PeriodSeconds: attune.MaxPolicySeconds},
		MaxWaiting: new(attune.MaxConcurrency), MaxWaitSeconds: new(attune.MaxPolicySeconds),
	}
	body, err := json.Marshal(largest)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, s.do(http.MethodPut, "/api/v1/policies/"+scope, string(body)), 200)
	wantStatus(t, s.do(http.MethodPut, "/api/v1/policies/"+scope, `{}`), 200)
}

func TestPolicyRefuses(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	tests := map[string]struct{ scope, body, field string }{
		"zero limit":     {"global", `{"concurrency": {"limit": 0}}`, "concurrency.limit"},
		"negative limit": {"packs/weather", `{"concurrency": {"limit": -1}}`, "concurrency.limit"},
		"broken limit":   {"global", `{"concurrency": {"limit": 1.5}}`, "concurrency.limit"},
		"limit as text":  {"global", `{"concurrency": {"limit": "1"}}`, "concurrency.limit"},
		"huge limit":     {"global", `{"concurrency": {"limit": 1000001}}`, "concurrency.limit"},
		"no limit":       {"global", `{"concurrency": {}}`, "concurrency"},
		"zero total": {"actions/weather.hello", `{"concurrency": {"limit": 1, "key": ["name"], "total": 0}}`,
			"concurrency.total"},
		"unknown method": {"global", `{"concurrency": {"limit": 1, "method": "skip"}}`, "concurrency.method"},
		"zero rate": {"global", `{"rate_limit": {"max_executions": 0, "window_seconds": 60}}`,
			"rate_limit.max_executions"},
		"zero window": {"global", `{"rate_limit": {"max_executions": 1, "window_seconds": 0}}`,
			"rate_limit.window_seconds"},
		"no window": {"global", `{"rate_limit": {"max_executions": 1}}`, "rate_limit"},
		"long window": {"global", `{"rate_limit": {"max_executions": 1, "window_seconds": 31622401}}`,
			"rate_limit.window_seconds"},
		"zero quota":      {"global", `{"quota": {"max_executions": 0, "period_seconds": 60}}`, "quota.max_executions"},
		"negative period": {"global", `{"quota": {"max_executions": 1, "period_seconds": -60}}`, "quota.period_seconds"},
		"zero waiting":    {"global", `{"max_waiting": 0}`, "max_waiting"},
		"negative wait":   {"global", `{"max_wait_seconds": -1}`, "max_wait_seconds"},
		"unknown member":  {"global", `{"priority": 1}`, "priority"},
		"unknown inside": {"actions/weather.hello", `{"concurrency": {"limit": 1, "keys": ["name"]}}`,
			"concurrency.keys"},
		"other case":        {"global", `{"Max_waiting": 1}`, "Max_waiting"},
		"key of a pack":     {"packs/weather", `{"concurrency": {"limit": 1, "key": ["name"]}}`, "concurrency.key"},
		"key of all":        {"global", `{"concurrency": {"limit": 1, "key": ["name"]}}`, "concurrency.key"},
		"total of all":      {"global", `{"concurrency": {"limit": 1, "total": 1}}`, "concurrency.total"},
		"total without key": {"actions/weather.hello", `{"concurrency": {"limit": 1, "total": 1}}`, "concurrency.total"},
		"key twice": {"actions/weather.hello", `{"concurrency": {"limit": 1, "key": ["name", "name"]}}`,
			"concurrency.key"},
		"too many keys": {"actions/weather.hello",
			`{"concurrency": {"limit": 1, "key": ["a", "b", "c", "d", "e", "f", "g", "h", "i"]}}`, "concurrency.key"},
		"key of no such": {"actions/weather.hello", `{"concurrency": {"limit": 1, "key": ["customer"]}}`,
			"concurrency.key[0]"},
		"key with rubbish": {"actions/weather.hello", `{"concurrency": {"limit": 1, "key": ["\u0000"]}}`,
			"concurrency.key[0]"},
		"list for an object": {"global", `[]`, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := wantProblem(t, s.do(http.MethodPut, "/api/v1/policies/"+test.scope, test.body), 422, attune.CodeInvalid)
			if !slices.ContainsFunc(p.Errors, func(place attune.Problem) bool { return place.Field == test.field }) {
				t.Errorf("got places %+v, want %s", p.Errors, test.field)
			}
		})
	}
	wantProblem(t, s.do(http.MethodPut, "/api/v1/policies/global", `{"max_waiting": `), 400, attune.CodeMalformed)
	wantProblem(t, s.do(http.MethodPut, "/api/v1/policies/global", `{"max_waiting": 1, "max_waiting": 2}`), 400,
		attune.CodeMalformed)
	for _, scope := range []string{"packs/nobody", "packs/%00", "actions/weather.nothing", "actions/nobody.hello",
		"actions/weather", "actions/%00"} {
		wantProblem(t, s.do(http.MethodPut, "/api/v1/policies/"+scope, `{}`), 404, attune.CodeNotFound)
		wantProblem(t, s.do(http.MethodDelete, "/api/v1/policies/"+scope, ""), 404, attune.CodeNotFound)
	}
	if p := s.policy("actions/weather.hello"); p == nil || p.Origin != attune.OriginPack {
		t.Errorf("something was set: %+v", p)
	}
}

func TestPoliciesOfALimitedToken(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	s.install(packFiles("tickets", "1.0.0"))
	for _, scope := range []string{"global", "packs/weather", "packs/tickets"} {
		wantStatus(t, s.do(http.MethodPut, "/api/v1/policies/"+scope, `{"max_waiting": 7}`), 200)
	}
	limited := as(s.token(attune.RoleViewer, "tickets"))
	for scope, seen := range map[string]bool{
		"global": true, "packs/tickets": true, "actions/tickets.hello": true, "packs/weather": false,
		"actions/weather.hello": false,
	} {
		if p := s.policy(scope, limited); (p != nil) != seen {
			t.Errorf("%s: got %+v", scope, p)
		}
	}
	if text := string(s.get("/api/v1/policies", limited).body); strings.Contains(text, "weather") {
		t.Errorf("sees what is not its own: %s", text)
	}
}
