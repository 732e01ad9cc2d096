package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const reportPolicy = `{"scope": "actions/weather.report", "origin": "operator",
	"updated_at": "2026-01-15T12:00:00Z", "policy": {
	"concurrency": {"limit": 1, "key": ["city", "unit"], "total": 4, "method": "reject"},
	"rate_limit": {"max_executions": 100, "window_seconds": 3600},
	"quota": {"max_executions": 10, "period_seconds": 172800}, "max_waiting": 50, "max_wait_seconds": 90}}`

const globalPolicy = `{"scope": "global", "origin": "operator", "updated_at": "2026-01-15T12:00:00Z", ` +
	`"policy": {"concurrency": {"limit": 64}}}`

func TestPolicyList(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{"GET /api/v1/policies": data(
		"[" + globalPolicy + "," + reportPolicy + "]")})
	invocation{api: api}.call(t, "policy", "list").want(t, exitDone, ""+
		"global\toperator\t64\t-\t-\t-\t-\t-\t-\t-\n"+
		"actions/weather.report\toperator\t1\tcity,unit\t4\treject\t100/1h\t10/2d\t50\t90s\n")
}

func TestPolicyShow(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{"GET /api/v1/policies": data(
		"[" + globalPolicy + "," + reportPolicy + "]")})
	const described = "scope\tactions/weather.report\nset by\toperator\nupdated\t2026-01-15T12:00:00Z\n" +
		"limit\t1\nkey\tcity,unit\ntotal\t4\nmethod\treject\nrate\t100/1h\nquota\t10/2d\nmax waiting\t50\nmax wait\t90s\n"
	invocation{api: api}.call(t, "policy", "show", "weather.report").want(t, exitDone, described)
	invocation{api: api}.call(t, "policy", "show", "actions/weather.report").want(t, exitDone, described)
	got := invocation{api: api}.call(t, "policy", "show", "global", "--json")
	if got.status != exitDone || !strings.Contains(got.stdout, `"limit": 64`) || strings.Contains(got.stdout, "weather") {
		t.Errorf("status %d, stdout %q", got.status, got.stdout)
	}
	got = invocation{api: api}.call(t, "policy", "show", "weather")
	got.want(t, exitOther, "")
	got.wantStderr(t, "no policy is in force for packs/weather")
}

func TestPolicySet(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte("concurrency:\n  limit: 2 # enough\n  key: [city]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args  []string
		stdin string
		path  string
		body  map[string]any
	}{
		"limit": {[]string{"global", "--limit", "64"}, "", "global",
			map[string]any{"concurrency": map[string]any{"limit": 64.0}}},
		"pack": {[]string{"weather", "--max-waiting", "9"}, "", "packs/weather", map[string]any{"max_waiting": 9.0}},
		"all": {[]string{
			"weather.report", "--limit", "1", "--key", "city,unit", "--total", "4", "--method", "cancel_oldest", "--rate",
			"100/60s", "--quota", "10/1d", "--max-waiting", "50", "--max-wait", "1h30m",
		}, "", "actions/weather.report", map[string]any{
			"concurrency": map[string]any{"limit": 1.0, "key": []any{"city", "unit"}, "total": 4.0, "method": "cancel_oldest"},
			"rate_limit":  map[string]any{"max_executions": 100.0, "window_seconds": 60.0},
			"quota":       map[string]any{"max_executions": 10.0, "period_seconds": 86400.0},
			"max_waiting": 50.0, "max_wait_seconds": 5400.0,
		}},
		"file": {[]string{"weather.report", "--file", file}, "", "actions/weather.report",
			map[string]any{"concurrency": map[string]any{"limit": 2.0, "key": []any{"city"}}}},
		"stdin": {[]string{"packs/global", "--file", "-"}, `{"quota": {"max_executions": 1, "period_seconds": 60}}`,
			"packs/global", map[string]any{"quota": map[string]any{"max_executions": 1.0, "period_seconds": 60.0}}},
		"lifted":   {[]string{"global", "--file", "-"}, "{}", "global", map[string]any{}},
		"as it is": {[]string{"global", "--file", "-"}, "limt: 1", "global", map[string]any{"limt": 1.0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := routes(t, map[string]http.HandlerFunc{
				"PUT /api/v1/policies/" + test.path: func(w http.ResponseWriter, r *http.Request) {
					if diff := cmp.Diff(test.body, bodyOf(t, r)); diff != "" {
						t.Error(diff)
					}
					data(globalPolicy)(w, r)
				}})
			got := invocation{api: api, stdin: test.stdin}.call(t, append([]string{"policy", "set"}, test.args...)...)
			got.want(t, exitDone, "scope\tglobal\nset by\toperator\nupdated\t2026-01-15T12:00:00Z\nlimit\t64\n")
		})
	}
}

func TestPolicySetRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args   []string
		stdin  string
		stderr string
	}{
		"nothing":        {[]string{"global"}, "", "say what bounds the scope"},
		"no scope":       {[]string{"--limit", "1"}, "", "<scope>"},
		"strange scope":  {[]string{"Weather!", "--limit", "1"}, "", "is no scope"},
		"key alone":      {[]string{"weather.report", "--key", "city"}, "", "go with --limit"},
		"method alone":   {[]string{"global", "--method", "reject"}, "", "go with --limit"},
		"other method":   {[]string{"global", "--limit", "1", "--method", "skip"}, "", "--method"},
		"rate":           {[]string{"global", "--rate", "100"}, "", "--rate 100: write a number and a time"},
		"rate of what":   {[]string{"global", "--rate", "x/1h"}, "", "--rate x/1h"},
		"half a second":  {[]string{"global", "--max-wait", "500ms"}, "", "whole seconds"},
		"quota per week": {[]string{"global", "--quota", "1/1w"}, "", "--quota 1w"},
		"both":           {[]string{"global", "--limit", "1", "--file", "-"}, "{}", "--file has the whole policy"},
		"no such file":   {[]string{"global", "--file", "/nowhere/policy.yaml"}, "", "read the policy"},
		"not YAML":       {[]string{"global", "--file", "-"}, "{", "not YAML"},
		"empty":          {[]string{"global", "--file", "-"}, "", "not an object"},
		"a list":         {[]string{"global", "--file", "-"}, "[1]", "not an object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invocation{api: routes(t, nil), stdin: test.stdin}.call(t, append([]string{"policy", "set"}, test.args...)...)
			got.want(t, exitUsage, "")
			got.wantStderr(t, test.stderr)
		})
	}
	refusal := problem(422, `{"detail": "the request has wrong values", "code": "invalid", `+
		`"errors": [{"field": "concurrency.limit", "message": "expected number >= 1"}]}`)
	got := invocation{api: refusal}.call(t, "policy", "set", "global", "--limit", "0")
	got.want(t, exitOther, "")
	got.wantStderr(t, "  concurrency.limit: expected number >= 1\n")
}

func TestPolicyDelete(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{
		"DELETE /api/v1/policies/packs/weather": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}})
	invocation{api: api}.call(t, "policy", "delete", "weather").want(t, exitDone, "policy of packs/weather removed\n")
}
