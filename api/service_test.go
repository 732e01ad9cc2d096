package api_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"attune"
	"attune/api"
	"attune/storage/s3"
	"attune/storage/storagetest"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		wantStatus(t, s.get(path, as("")), 200)
	}
	if body := string(s.get("/healthz", as("")).body); strings.Contains(body, "isolation") {
		t.Errorf("a server without a worker says %s", body)
	}
	worker := setup(t, func(c *api.Config) { c.Isolation = "no-apparmor" })
	if body := string(worker.get("/healthz", as("")).body); !strings.Contains(body, `"isolation":"no-apparmor"`) {
		t.Errorf("one with a worker says %s", body)
	}
}

func TestReadinessNamesWhatIsDown(t *testing.T) {
	t.Parallel()
	config := storagetest.S3Config(t)
	objects, err := s3.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	s := setup(t, func(c *api.Config) { c.Objects = objects })
	for _, bucket := range []string{config.LogBucket, config.PackBucket} {
		if err := storagetest.S3Client(t, config).RemoveBucket(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
	}
	a := s.get("/readyz", as(""))
	if p := wantProblem(t, a, 503, attune.CodeUnavailable); !strings.HasSuffix(p.Detail, ": s3") ||
		a.Header.Get("Retry-After") == "" {
		t.Errorf("got %s", a.body)
	}
	wantStatus(t, s.get("/healthz", as("")), 200)
}

func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.db.Close()
	wantStatus(t, s.get("/healthz", as("")), 200)
	down := wantProblem(t, s.get("/readyz", as("")), 503, attune.CodeUnavailable)
	if !strings.Contains(down.Detail, "postgresql") {
		t.Errorf("got %+v", down)
	}
	a := s.get("/api/v1/packs")
	wantProblem(t, a, 503, attune.CodeUnavailable)
	if a.Header.Get("Retry-After") == "" || strings.Contains(string(a.body), "pool") {
		t.Errorf("got %s %s", a.Header, a.body)
	}
	if a.Header.Get("WWW-Authenticate") != "" {
		t.Error("a client is told to authenticate while nobody can")
	}
}

// TestDependencyHangs: what neither answers nor breaks must not hold the client for ever.
func TestDependencyHangs(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *api.Config) { c.AnswerTimeout = 200 * time.Millisecond })
	for _, table := range []string{"executions", "tokens"} {
		tx, err := s.db.Pool().Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "lock table "+table+" in access exclusive mode"); err != nil {
			t.Fatal(err)
		}
		wantProblem(t, s.get("/api/v1/executions"), http.StatusServiceUnavailable, attune.CodeUnavailable)
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInternalErrorsStayInside(t *testing.T) {
	t.Parallel()
	s := setup(t)
	if _, err := s.db.Pool().Exec(t.Context(), `alter table packs rename column label to canary_label`); err != nil {
		t.Fatal(err)
	}
	a := s.get("/api/v1/packs")
	p := wantProblem(t, a, 500, "internal")
	if p.RequestID == "" || p.RequestID != a.Header.Get("X-Request-Id") || strings.Contains(string(a.body), "label") {
		t.Errorf("got %s", a.body)
	}
	var logged int
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "level=ERROR") && strings.Contains(line, p.RequestID) {
			logged++
		}
	}
	if logged != 1 {
		t.Errorf("logged %d times:\n%s", logged, s.log)
	}
}

func TestAccessLogLeavesOutTheQuery(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.get("/api/v1/packs?token=" + canary)
	log := s.log.String()
	if strings.Contains(log, canary) || strings.Contains(log, s.admin) {
		t.Errorf("the log tells too much:\n%s", log)
	}
	if !strings.Contains(log, "path=/api/v1/packs status=400") {
		t.Errorf("the request is not logged:\n%s", log)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, a := range []answer{s.get("/api/v1/packs"), s.get("/nothing"), s.get("/docs"), s.get("/healthz", as("")),
		s.get("/docs", as(""))} {
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s %q", a.Request.URL, name, got)
			}
		}
		if policy := a.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
			t.Errorf("%s: %q", a.Request.URL, policy)
		}
	}
	preflight := s.do(http.MethodOptions, "/api/v1/executions", "", func(r *http.Request) {
		r.Header.Set("Origin", "null")
		r.Header.Set("Access-Control-Request-Method", "POST")
	})
	for name := range preflight.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: %q", name, preflight.Header.Get(name))
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for i := range 3 {
		s.get(fmt.Sprintf("/api/v1/packs/pack%d", i))
		s.get(fmt.Sprintf("/nothing/%d", i))
	}
	text := string(s.get("/metrics").body)
	for _, want := range []string{
		`attune_http_request_duration_seconds_count{method="GET",route="/api/v1/packs/{ref}",status="404"} 3`,
		`attune_build_info{version="1.2.3"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "nothing") || strings.Contains(text, "pack0") {
		t.Error("paths of clients make series")
	}
}

func TestSlowRequestBodyIsCut(t *testing.T) {
	t.Parallel()
	server := api.Server("", http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if server.ReadHeaderTimeout == 0 || server.ReadTimeout == 0 || server.WriteTimeout == 0 || server.IdleTimeout == 0 ||
		server.MaxHeaderBytes == 0 {
		t.Errorf("a client may hold a connection for ever: %+v", server)
	}
	s := setup(t, func(c *api.Config) { c.SendTimeout = 100 * time.Millisecond })
	conn := s.dial()
	fmt.Fprintf(conn, "POST /api/v1/executions HTTP/1.1\r\nHost: attune\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{", s.admin)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, answer{response, body}, http.StatusRequestTimeout, "request_timeout")
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a := s.get("/openapi.json")
	var document struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID, Summary string
			Tags                 []string
			Security             []map[string][]string
			Parameters           []struct{ Name, In, Description string }
			RequestBody          *struct {
				Content map[string]struct {
					Schema  json.RawMessage
					Example any
				}
			}
			Responses map[string]struct {
				Description string
				Content     map[string]struct{ Example any }
			}
		}
		Components struct {
			Schemas         map[string]any
			SecuritySchemes map[string]struct{ Type, Scheme string }
		}
	}
	if err := json.Unmarshal(a.body, &document); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(document.OpenAPI, "3.1.") || document.Info.Version != "1.2.3" {
		t.Errorf("got %q %+v", document.OpenAPI, document.Info)
	}
	if got := document.Components.SecuritySchemes["bearer"]; got.Type != "http" || got.Scheme != "bearer" {
		t.Errorf("got %+v", got)
	}
	for _, match := range regexp.MustCompile(`#/components/schemas/([^"]+)"`).FindAllStringSubmatch(string(a.body), -1) {
		if document.Components.Schemas[match[1]] == nil {
			t.Errorf("a reference leads nowhere: %s", match[1])
		}
	}

	var ids []string
	for path, methods := range document.Paths {
		for method, operation := range methods {
			ids = append(ids, operation.OperationID)
			if operation.Summary == "" || len(operation.Tags) != 1 || len(operation.Security) != 1 {
				t.Errorf("%s %s is not described: %+v", method, path, operation)
			}
			for _, p := range operation.Parameters {
				if p.Description == "" {
					t.Errorf("%s %s: parameter %s is not described", method, path, p.Name)
				}
			}
			for status, response := range operation.Responses {
				if response.Description == "" {
					t.Errorf("%s %s: status %s is not described", method, path, status)
				}
				for media, content := range response.Content {
					if media == "application/json" && content.Example == nil {
						t.Errorf("%s %s: no example of the answer", method, path)
					}
				}
			}
			for _, status := range []string{"401", "403", "503"} {
				if _, ok := operation.Responses[status].Content["application/problem+json"]; !ok {
					t.Errorf("%s %s: no problem document for %s", method, path, status)
				}
			}
			if body := operation.RequestBody; body != nil {
				for media, content := range body.Content {
					if content.Schema == nil || media == "application/json" && content.Example == nil {
						t.Errorf("%s %s: the request is not described", method, path)
					}
				}
			}
		}
	}
	want := []string{}
	for _, r := range routes("x") {
		want = append(want, r.operation)
	}
	slices.Sort(ids)
	slices.Sort(want)
	if !slices.Equal(ids, want) {
		t.Errorf("the document has %v, the tests %v", ids, want)
	}
}

func TestDocs(t *testing.T) {
	t.Parallel()
	s := setup(t)
	page := s.get("/docs")
	text := string(page.body)
	for _, r := range routes("x") {
		if !strings.Contains(text, `<article id="`+r.operation+`">`) {
			t.Errorf("%s is missing", r.operation)
		}
	}
	for _, unwanted := range []string{"<script", "http://", "https://", "<no value>", "ZgotmplZ"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("the page has %s", unwanted)
		}
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(text)
	if len(style) != 2 {
		t.Fatal("the page has no style")
	}
	hash := sha256.Sum256([]byte(style[1]))
	if allowed := "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'"; !strings.Contains(page.Header.Get("Content-Security-Policy"), allowed) {
		t.Errorf("the policy keeps the page's own style out: %s", page.Header.Get("Content-Security-Policy"))
	}
}
