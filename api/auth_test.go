package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"attune"
)

// route is a request that succeeds for an admin, as often as it is made.
type route struct {
	method, path, body string
	operation          string
	least              attune.Role
	// unlimited: a token that is limited to packs may not, whatever its role.
	unlimited bool
}

// routes are all operations of the API, on the pack weather with an execution. TestOpenAPI compares them with the
// document.
func routes(execution string) []route {
	const v, o, a = attune.RoleViewer, attune.RoleOperator, attune.RoleAdmin
	const noToken = "0195511c-5b51-7f00-8e2b-6c3a7f9e8b21"
	return []route{
		{"POST", "/packs/upload", "", "upload-pack", a, false},
		{"GET", "/packs", "", "list-packs", v, false},
		{"GET", "/packs/weather", "", "get-pack", v, false},
		{"POST", "/packs/weather/install", "", "install-pack", a, false},
		{"GET", "/packs/weather/installation-status", "", "get-installation-status", v, false},
		{"GET", "/packs/weather/installation-log", "", "get-installation-log", v, false},
		{"GET", "/actions", "", "list-actions", v, false},
		{"GET", "/actions/weather.hello", "", "get-action", v, false},
		{"GET", "/actions/weather.hello/queue-stats", "", "get-queue-stats", v, false},
		{"GET", "/policies", "", "list-policies", v, false},
		{"PUT", "/policies/global", `{"max_waiting": 100}`, "put-global-policy", a, true},
		{"DELETE", "/policies/global", "", "delete-global-policy", a, true},
		{"PUT", "/policies/packs/weather", `{"max_waiting": 100}`, "put-pack-policy", a, false},
		{"DELETE", "/policies/packs/weather", "", "delete-pack-policy", a, false},
		{"PUT", "/policies/actions/weather.hello", `{"max_waiting": 100}`, "put-action-policy", a, false},
		{"DELETE", "/policies/actions/weather.hello", "", "delete-action-policy", a, false},
		{"POST", "/executions", `{"action": "weather.hello"}`, "submit-execution", o, false},
		{"POST", "/executions/batch", `{"executions": [{"action": "weather.hello"}]}`, "submit-batch", o, false},
		{"GET", "/executions", "", "list-executions", v, false},
		{"GET", "/executions/" + execution, "", "get-execution", v, false},
		{"GET", "/executions/" + execution + "/logs/stdout", "", "get-execution-log", v, false},
		{"POST", "/executions/" + execution + "/cancel", "", "cancel-execution", o, false},
		{"GET", "/executions/" + execution + "/why", "", "explain-execution", v, false},
		{"GET", "/queues", "", "list-queues", v, false},
		{"GET", "/secrets", "", "list-secrets", v, false},
		{"PUT", "/secrets/key?pack=weather", `{"value": "x"}`, "put-secret", a, false},
		{"DELETE", "/secrets/key?pack=weather", "", "delete-secret", a, false},
		{"GET", "/workers", "", "list-workers", v, true},
		{"DELETE", "/workers/nobody", "", "delete-worker", a, true},
		{"GET", "/tokens", "", "list-tokens", a, true},
		{"POST", "/tokens", `{"name": "x", "role": "viewer"}`, "create-token", a, true},
		{"DELETE", "/tokens/" + noToken, "", "delete-token", a, true},
		{"DELETE", "/packs/weather", "", "delete-pack", a, false},
	}
}

var ranks = map[attune.Role]int{attune.RoleViewer: 1, attune.RoleOperator: 2, attune.RoleAdmin: 3}

func TestRolesAndPacks(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	execution := s.submit("weather.hello").ID
	routes := routes(execution)
	for i := range 3 {
		// What deletes comes last, and only an admin may: by then everybody else has tried.
		role := []attune.Role{attune.RoleViewer, attune.RoleOperator, attune.RoleAdmin}[i]
		for _, limit := range []string{"tickets", "weather", ""} {
			token := s.token(role)
			if limit != "" {
				token = s.token(role, limit)
			}
			for _, r := range routes {
				if r.operation == "delete-pack" && role == attune.RoleAdmin && limit == "weather" {
					continue // It would succeed, and leave nothing for the ones behind it.
				}
				t.Run(fmt.Sprintf("%s of %q/%s", role, limit, r.operation), func(t *testing.T) {
					s.wantAllowed(t, r, role, limit, token)
				})
			}
		}
	}
}

// wantAllowed makes the request and checks that it is refused exactly where it has to be.
func (s *service) wantAllowed(t *testing.T, r route, role attune.Role, limit, token string) {
	t.Helper()
	a := s.do(r.method, "/api/v1"+r.path, r.body, as(token))
	if r.operation == "upload-pack" {
		a = s.upload(targz(t, packFiles("weather", "1.0.0")), as(token))
	}
	isList := strings.HasPrefix(r.operation, "list-")
	switch {
	case ranks[role] < ranks[r.least], limit != "" && r.unlimited:
		wantProblem(t, a, 403, attune.CodeForbidden)
	case limit == "tickets" && (r.operation == "upload-pack" || strings.HasSuffix(r.operation, "-secret")):
		// They name a pack that need not exist: nothing is revealed by a plain refusal.
		wantProblem(t, a, 403, attune.CodeForbidden)
	case limit == "tickets" && r.operation == "submit-batch": // The batch is there; a member of it is not.
		if p := wantProblem(t, a, 422, attune.CodeInvalid); p.Errors[0].Field != "executions.0.action" {
			t.Errorf("got %+v", p.Errors)
		}
	case limit == "tickets" && !isList:
		wantProblem(t, a, 404, attune.CodeNotFound)
	case limit == "tickets" && r.operation == "list-policies": // The global one is everybody's.
		if data[[]any](t, a, 200); strings.Contains(string(a.body), "weather") {
			t.Errorf("sees what is not its own: %s", a.body)
		}
	case limit == "tickets":
		if got := data[[]any](t, a, 200); len(got) != 0 {
			t.Errorf("sees what is not its own: %s", a.body)
		}
	case r.operation == "delete-token", r.operation == "delete-worker": // They are nobody's.
		wantProblem(t, a, 404, attune.CodeNotFound)
	case a.StatusCode >= 300:
		t.Errorf("got %d: %s", a.StatusCode, a.body)
	}
}

func TestNobodyGetsInWithoutAToken(t *testing.T) {
	t.Parallel()
	s := setup(t)
	revoked := s.token(attune.RoleAdmin)
	for _, token := range data[[]attune.Token](t, s.get("/api/v1/tokens"), 200) {
		if token.LastUsedAt == nil { // The one that has made no request yet.
			wantStatus(t, s.do(http.MethodDelete, "/api/v1/tokens/"+token.ID, ""), http.StatusNoContent)
		}
	}
	basic := func(r *http.Request) { r.SetBasicAuth("me", s.admin) }
	header := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	credentials := map[string]func(*http.Request){
		"none": as(""), "revoked": as(revoked), "unknown": as("att_000000000000_" + strings.Repeat("A", 43)),
		"one character off": as(s.admin[:len(s.admin)-1] + "!"), "its prefix alone": as(s.admin[:17]),
		"rubbish":   as("\xff\xfe"),
		"no scheme": header(s.admin), "other scheme": header("Token " + s.admin), "basic": basic, "empty": header("Bearer "),
	}
	paths := []string{"/metrics", "/nothing", "/", "/docs/", "/healthz/x", "/api/v1/", "/api/v1/nothing"}
	for _, r := range routes("0195511c-5b51-7f00-8e2b-6c3a7f9e8b21") {
		paths = append(paths, "/api/v1"+r.path)
	}
	for name, edit := range credentials {
		t.Run(name, func(t *testing.T) {
			for _, path := range paths {
				a := s.get(path, edit)
				wantProblem(t, a, 401, attune.CodeUnauthenticated)
				if a.Header.Get("WWW-Authenticate") != `Bearer realm="attune"` {
					t.Errorf("%s: WWW-Authenticate %q", path, a.Header.Get("WWW-Authenticate"))
				}
			}
			// A body is not even read.
			wantProblem(t, s.do(http.MethodPost, "/api/v1/executions", `{"broken`, edit), 401, attune.CodeUnauthenticated)
		})
	}
}

func TestBrowsersMayUseThePasswordForTheDocuments(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, path := range []string{"/docs", "/openapi.json"} {
		refused := s.get(path, as(""))
		wantProblem(t, refused, 401, attune.CodeUnauthenticated)
		if got := refused.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic ") {
			t.Errorf("WWW-Authenticate %q", got)
		}
		wantStatus(t, s.get(path, func(r *http.Request) { r.SetBasicAuth("anybody", s.admin) }), 200)
		wantStatus(t, s.get(path), 200)
		wantProblem(t, s.get(path, func(r *http.Request) { r.SetBasicAuth("anybody", "wrong") }), 401,
			attune.CodeUnauthenticated)
	}
}

func TestTokenLife(t *testing.T) {
	t.Parallel()
	s := setup(t)
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	a := s.do(http.MethodPost, "/api/v1/tokens",
		`{"name": "ci", "role": "operator", "packs": ["weather"], "expires_at": "`+expires+`"}`)
	made := data[struct {
		attune.Token
		Secret string `json:"token"`
	}](t, a, http.StatusCreated)
	if made.Name != "ci" || made.Role != attune.RoleOperator || len(made.Packs) != 1 || made.ExpiresAt == nil ||
		made.Secret == "" {
		t.Fatalf("got %+v", made)
	}
	wantStatus(t, s.get("/api/v1/packs", as(made.Secret)), 200)
	list := s.get("/api/v1/tokens")
	if tokens := data[[]attune.Token](t, list, 200); len(tokens) != 2 {
		t.Errorf("got %+v", tokens)
	}
	if strings.Contains(string(list.body), made.Secret) || strings.Contains(s.log.String(), made.Secret) {
		t.Error("the token is told again")
	}
	wantStatus(t, s.do(http.MethodDelete, "/api/v1/tokens/"+made.ID, ""), http.StatusNoContent)
	wantProblem(t, s.get("/api/v1/packs", as(made.Secret)), 401, attune.CodeUnauthenticated)

	for body, field := range map[string]string{
		`{"name": "", "role": "viewer"}`:                                        "name",
		`{"name": "a\u0000b", "role": "viewer"}`:                                "name",
		`{"name": "x", "role": "root"}`:                                         "role",
		`{"name": "x", "role": "viewer", "packs": ["../x"]}`:                    "packs",
		`{"name": "x", "role": "viewer", "packs": "weather"}`:                   "packs",
		`{"name": "x", "role": "viewer", "expires_at": "soon"}`:                 "expires_at",
		`{"name": "x", "role": "viewer", "expires_at": "2001-01-01T00:00:00Z"}`: "expires_at",
	} {
		if p := wantProblem(t, s.do(http.MethodPost, "/api/v1/tokens", body), 422,
			attune.CodeInvalid); p.Errors[0].Field != field {
			t.Errorf("%s: got %+v", body, p.Errors)
		}
	}
	for _, member := range []string{"id", "token", "created_at", "last_used_at"} {
		wantProblem(t, s.do(http.MethodPost, "/api/v1/tokens", `{"name": "x", "role": "viewer", "`+member+`": "x"}`), 400,
			attune.CodeMalformed)
	}
}
