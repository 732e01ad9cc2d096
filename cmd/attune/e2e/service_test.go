// Package e2e drives the built binary as its users do: `attune up` as a process, the command line and HTTP against it,
// on a real PostgreSQL, S3 and containerd.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"attune"
	"attune/storage/storagetest"
)

// service is an attune that serves.
type service struct {
	binary     string
	url, token string
	process    *os.Process
	// client is the environment of client commands.
	client []string
	exited chan error
}

// variable reads what `make test` sets.
func variable(tb testing.TB, name string) string {
	tb.Helper()
	value := os.Getenv(name)
	if value == "" {
		tb.Fatalf("%s is not set; run make test", name)
	}
	return value
}

// build makes the binary. The build cache makes it cheap.
func build(tb testing.TB) string {
	tb.Helper()
	binary := filepath.Join(tb.TempDir(), "attune")
	command := exec.CommandContext(tb.Context(), "go", "build", "-buildvcs=false", "-o", binary, "attune/cmd/attune")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		tb.Fatalf("build attune: %v\n%s", err, out)
	}
	return binary
}

// environment is the test's own database, buckets and containerd namespace.
func environment(tb testing.TB) []string {
	tb.Helper()
	s3 := storagetest.S3Config(tb)
	return []string{
		"ATTUNE_DATABASE_URL=" + storagetest.EmptyDatabaseURL(tb),
		"ATTUNE_S3_ENDPOINT=" + s3.Endpoint, "AWS_ACCESS_KEY_ID=" + s3.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s3.SecretKey,
		"ATTUNE_S3_LOG_BUCKET=" + s3.LogBucket, "ATTUNE_S3_PACK_BUCKET=" + s3.PackBucket,
		"ATTUNE_CONTAINERD_ADDRESS=" + variable(tb, "ATTUNE_TEST_CONTAINERD_ADDRESS"),
		"ATTUNE_CONTAINERD_NAMESPACE=" + namespace(tb),
	}
}

// start runs `attune up` and waits until it is ready.
func start(tb testing.TB, binary, dir string, env ...string) *service {
	tb.Helper()
	s := launch(tb, binary, env, "up", "--data-dir", dir, "--listen", "127.0.0.1:0", "--capacity", "8")
	s.connect(tb, dir)
	return s
}

// launch runs attune until it says that it is ready. When the test ends, it gets SIGTERM and must end well.
func launch(tb testing.TB, binary string, env []string, args ...string) *service {
	tb.Helper()
	s := &service{binary: binary, exited: make(chan error, 1)}
	// Not the test's context: that would kill attune before it can end in order.
	command := exec.CommandContext(context.WithoutCancel(tb.Context()), binary, args...)
	command.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"ATTUNE_BIN_DIR=" + variable(tb, "ATTUNE_TEST_BIN_DIR"), "ATTUNE_CACHE_DIR=" + variable(tb, "ATTUNE_CACHE_DIR"),
	}, env...)
	log, err := os.Create(filepath.Join(tb.TempDir(), "attune.log"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { showLog(tb, log) })
	command.Stderr = log
	stdout, err := command.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	s.process = command.Process
	lines := bufio.NewScanner(stdout)
	ready := lines.Scan()
	go func() {
		_, copyErr := io.Copy(io.Discard, stdout)
		s.exited <- errors.Join(command.Wait(), copyErr)
	}()
	tb.Cleanup(func() { s.stop(tb) })
	said, found := strings.CutPrefix(lines.Text(), "ready ")
	if !ready || !found {
		tb.Fatalf("attune %s said %q, want that it is ready", args[0], lines.Text())
	}
	s.url = said
	return s
}

// connect makes client commands use what attune wrote into its data folder.
func (s *service) connect(tb testing.TB, dir string) {
	tb.Helper()
	s.client = connections(tb, dir)
	for _, setting := range s.client {
		if token, found := strings.CutPrefix(setting, "ATTUNE_TOKEN="); found {
			s.token = token
		}
	}
}

func showLog(tb testing.TB, log *os.File) {
	if content, err := os.ReadFile(log.Name()); err == nil && tb.Failed() {
		tb.Logf("what attune logged:\n%s", content)
	}
	_ = log.Close()
}

// stop ends attune in order; it may have ended before.
func (s *service) stop(tb testing.TB) {
	tb.Helper()
	if s.process == nil {
		return
	}
	process := s.process
	s.process = nil
	if err := process.Signal(syscall.SIGTERM); err != nil {
		tb.Error(err)
	}
	select {
	case err := <-s.exited:
		if err != nil {
			tb.Errorf("attune ended with %v", err)
		}
	case <-time.After(time.Minute):
		tb.Error("attune did not end within a minute of SIGTERM")
		_ = process.Kill()
		tb.Log(<-s.exited)
	}
}

// kill ends attune without a word.
func (s *service) kill(tb testing.TB) {
	tb.Helper()
	process := s.process
	s.process = nil
	if err := process.Kill(); err != nil {
		tb.Fatal(err)
	}
	if err := <-s.exited; err == nil {
		tb.Error("attune was killed and says that all is well")
	}
}

// connections sources connections.env the way a shell does.
func connections(tb testing.TB, dir string) []string {
	tb.Helper()
	info, err := os.Stat(filepath.Join(dir, "connections.env"))
	if err != nil || info.Mode().Perm() != 0o600 {
		tb.Fatalf("connections.env: %v, %v", info, err)
	}
	command := exec.CommandContext(tb.Context(), "bash", "-c", `source "$0"; env`, filepath.Join(dir, "connections.env"))
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := command.Output()
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// cli runs a client command and returns its stdout and exit status.
func (s *service) cli(tb testing.TB, stdin string, args ...string) (string, int) {
	tb.Helper()
	command := exec.CommandContext(tb.Context(), s.binary, args...)
	command.Env = s.client
	command.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		tb.Fatalf("attune %v: %v", args, err)
	}
	if stderr.Len() > 0 {
		tb.Logf("attune %s: %s", strings.Join(args, " "), stderr.String())
	}
	return stdout.String(), command.ProcessState.ExitCode()
}

// must is cli for commands that have to succeed.
func (s *service) must(tb testing.TB, stdin string, args ...string) string {
	tb.Helper()
	out, status := s.cli(tb, stdin, args...)
	if status != 0 {
		tb.Fatalf("attune %v ended with %d: %s", args, status, out)
	}
	return out
}

// call sends a request and decodes the data of its answer into data, unless data is nil.
func (s *service) call(tb testing.TB, method, path string, body, data any) int {
	tb.Helper()
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			tb.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(tb.Context(), method, s.url+"/api/v1"+path, sent)
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	if data != nil {
		if err := json.Unmarshal(answer, &struct {
			Data any `json:"data"`
		}{data}); err != nil {
			tb.Fatalf("%s %s answered %d %s: %v", method, path, response.StatusCode, answer, err)
		}
	}
	return response.StatusCode
}

// submit queues an execution.
func (s *service) submit(tb testing.TB, action string, parameters map[string]any) attune.Execution {
	tb.Helper()
	var e attune.Execution
	status := s.call(tb, http.MethodPost, "/executions", map[string]any{"action": action, "parameters": parameters}, &e)
	if status != http.StatusAccepted {
		tb.Fatalf("submit %s: status %d", action, status)
	}
	return e
}

// await waits until an execution is as wanted and returns it.
func (s *service) await(tb testing.TB, id string, wanted func(attune.Execution) bool) attune.Execution {
	tb.Helper()
	deadline, cancel := context.WithTimeout(tb.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var e attune.Execution
		s.call(tb, http.MethodGet, "/executions/"+id, nil, &e)
		if wanted(e) {
			return e
		}
		select {
		case <-deadline.Done():
			tb.Fatalf("execution %s is %s (%s) and not what is waited for", id, e.Status, e.Reason)
		case <-tick.C:
		}
	}
}

func over(e attune.Execution) bool    { return e.Status.Terminal() }
func running(e attune.Execution) bool { return e.Status == attune.StatusRunning }

// page reads a stream from an offset.
func (s *service) page(tb testing.TB, id, stream string, offset, limit int64) attune.LogPage {
	tb.Helper()
	var page attune.LogPage
	s.call(tb, http.MethodGet, fmt.Sprintf("/executions/%s/logs/%s?offset=%d&limit=%d", id, stream, offset, limit), nil,
		&page)
	return page
}

// namespace is the test's own in containerd.
func namespace(tb testing.TB) string {
	tb.Helper()
	return "e2e-" + strings.ToLower(rand.Text()[:8])
}

// shimEndTime is how long a shim may take to end after its last sandbox.
const shimEndTime = 20 * time.Second

// tempDir is one that PostgreSQL and sandboxes may pass through, with a short name for sockets below it.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "e2e-") //nolint:usetesting // t.TempDir is private to root.
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// The shim of a worker that was killed ends with its last sandbox, and only then unmounts what is below dir.
		err := os.RemoveAll(dir)
		for end := time.Now().Add(shimEndTime); err != nil && time.Now().Before(end); err = os.RemoveAll(dir) {
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil {
			tb.Error(err)
		}
	})
	return dir
}
