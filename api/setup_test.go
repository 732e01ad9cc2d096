package api_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"attune"
	"attune/api"
	"attune/imagebuilder/pack"
	"attune/scheduler"
	"attune/storage"
	"attune/storage/logs"
	"attune/storage/s3"
	"attune/storage/storagetest"
)

// service is the API on real services, over a real connection. No worker runs: executions stay queued.
type service struct {
	t       *testing.T
	db      *storage.DB
	queue   *scheduler.Queue
	objects *s3.Store
	logs    *logs.Store
	staging string
	url     string
	// admin is a token without limits.
	admin string
	log   *syncBuffer
}

// option changes the configuration before the service starts.
type option func(*api.Config)

func setup(t *testing.T, options ...option) *service {
	t.Helper()
	s := &service{t: t, db: storagetest.OpenDB(t), objects: storagetest.OpenObjects(t), staging: t.TempDir(),
		log: &syncBuffer{}}
	var err error
	if s.logs, err = logs.Open(s.objects.Logs(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	s.admin = s.token(attune.RoleAdmin)
	log := slog.New(slog.NewTextHandler(s.log, nil))
	s.queue = scheduler.NewQueue(s.db, log)
	config := api.Config{
		DB: s.db, Objects: s.objects, Logs: s.logs, Queue: s.queue,
		StagingDir: s.staging, Limits: pack.DefaultLimits(), Version: "1.2.3", Log: log,
	}
	for _, change := range options {
		change(&config)
	}
	s.url = serve(t, config)
	return s
}

// serve runs the service until the test ends.
func serve(t *testing.T, config api.Config) string {
	t.Helper()
	handler, err := api.New(config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := api.Server("", handler, config.Log)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// token makes a token, limited to packs where some are given.
func (s *service) token(role attune.Role, packs ...string) string {
	s.t.Helper()
	secret, _, err := s.db.Tokens.Create(s.t.Context(), string(role), role, packs, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return secret
}

// answer is a response that has been read.
type answer struct {
	*http.Response
	body []byte
}

// do sends a request as the admin. The body is sent as it is; edits change the request before.
func (s *service) do(method, path, body string, edits ...func(*http.Request)) answer {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.admin)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, edit := range edits {
		edit(request)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response, content}
}

func (s *service) get(path string, edits ...func(*http.Request)) answer {
	s.t.Helper()
	return s.do(http.MethodGet, path, "", edits...)
}

// as sends the request with another token, or without any.
func as(token string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del("Authorization")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
	}
}

// data checks the status and decodes the data member into a T.
func data[T any](t *testing.T, a answer, status int) T {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("got %d, want %d: %s", a.StatusCode, status, a.body)
	}
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	var envelope struct {
		Data T `json:"data"`
	}
	if err := json.Unmarshal(a.body, &envelope); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return envelope.Data
}

// problem is a problem document as clients see it.
type problem struct {
	Type, Title, Detail string
	Status              int
	Code                attune.Code
	RequestID           string `json:"request_id"`
	Errors              []attune.Problem
}

// wantProblem checks that an answer is a complete problem document of that status and code.
func wantProblem(t *testing.T, a answer, status int, code attune.Code) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("got %d, not a problem document: %s", a.StatusCode, a.body)
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	if a.StatusCode != status || p.Status != status || p.Code != code || p.Type != "about:blank" ||
		p.Title != http.StatusText(status) || p.Detail == "" {
		t.Fatalf("got %d, want %d %s: %s", a.StatusCode, status, code, a.body)
	}
	return p
}

func wantStatus(t *testing.T, a answer, status int) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("got %d, want %d: %s", a.StatusCode, status, a.body)
	}
}

// packFiles is a pack with one action, hello, which takes a name and needs the secrets.
func packFiles(ref, version string, secrets ...string) map[string]string {
	return map[string]string{
		"pack.yaml": "ref: " + ref + "\nversion: " + version + "\n",
		"actions/hello.yaml": "ref: hello\nentry_point: hello.sh\nsecrets: [" + strings.Join(secrets, ", ") + "]\n" +
			"parameters: {type: object, additionalProperties: false, properties: {name: {type: string}, n: {type: number}, o: " +
			"{}}}\n" +
			"policy: {concurrency: {limit: 1}}\n",
		"actions/hello.sh": "echo hello\n",
	}
}

// targz makes an archive.
func targz(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	archive := tar.NewWriter(compressed)
	for name, content := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o644}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(archive, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), compressed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// form makes a multipart body with a file.
func form(t *testing.T, field string, content []byte) (contentType, body string) {
	t.Helper()
	var out bytes.Buffer
	writer := multipart.NewWriter(&out)
	part, err := writer.CreateFormFile(field, "pack.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	_, err = part.Write(content)
	if err := errors.Join(err, writer.Close()); err != nil {
		t.Fatal(err)
	}
	return writer.FormDataContentType(), out.String()
}

func contentType(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Content-Type", value) }
}

// upload sends an archive.
func (s *service) upload(archive []byte, edits ...func(*http.Request)) answer {
	s.t.Helper()
	media, body := form(s.t, "file", archive)
	return s.do(http.MethodPost, "/api/v1/packs/upload", body, append(edits, contentType(media))...)
}

// install uploads a pack and plays the worker that builds it.
func (s *service) install(files map[string]string) attune.Installation {
	s.t.Helper()
	wantStatus(s.t, s.upload(targz(s.t, files)), http.StatusAccepted)
	return s.build()
}

// build plays the worker that builds what waits.
func (s *service) build() attune.Installation {
	s.t.Helper()
	ctx := s.t.Context()
	s.register("builder", 1)
	claimed, _, err := s.db.Installations.Claim(ctx, "builder")
	if err != nil || claimed == nil {
		s.t.Fatalf("claimed %v: %v", claimed, err)
	}
	digest := "sha256:" + strings.Repeat("0", 64)
	if err := s.queue.Activate(ctx, claimed.ID, "builder", digest); err != nil {
		s.t.Fatal(err)
	}
	return *claimed
}

// submit queues an execution of an action.
func (s *service) submit(action string) attune.Execution {
	s.t.Helper()
	return data[attune.Execution](s.t, s.do(http.MethodPost, "/api/v1/executions", `{"action": "`+action+`"}`),
		http.StatusAccepted)
}

// wantEmptyStaging checks that an upload left nothing, whatever became of it.
func (s *service) wantEmptyStaging() {
	s.t.Helper()
	entries, err := os.ReadDir(s.staging)
	if err != nil || len(entries) != 0 {
		s.t.Errorf("staging has %v, %v", entries, err)
	}
}

// syncBuffer is a log that handlers write while the test reads.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// nextCursor reads the pagination of a list.
func nextCursor(t *testing.T, a answer) string {
	t.Helper()
	var list struct {
		Pagination *struct {
			NextCursor *string `json:"next_cursor"`
		}
	}
	if err := json.Unmarshal(a.body, &list); err != nil || list.Pagination == nil || list.Pagination.NextCursor == nil {
		t.Fatalf("%v, no pagination: %s", err, a.body)
	}
	return *list.Pagination.NextCursor
}
