package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"attune"
)

// service is an `attune up` with daemons of its own, in a temporary folder that is gone after close.
type service struct {
	binary, dir string
	process     *exec.Cmd
	variables   map[string]string
}

// startService starts the program and waits until it serves.
func startService(ctx context.Context, binary string, capacity int) (_ *service, err error) {
	s := &service{binary: binary, variables: make(map[string]string)}
	// Images are too large for a /tmp in memory, and PostgreSQL has a user of its own.
	if s.dir, err = os.MkdirTemp("/var/tmp", "attune-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return nil, err
	}
	s.process = exec.CommandContext(context.WithoutCancel(ctx), binary, "up", "--data-dir", s.dir, "--listen", "127.0.0.1:0", "--capacity", strconv.Itoa(capacity))
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us; close ends it in order.
	log, err := os.Create(filepath.Join(s.dir, "up.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.process.Stderr = log
	stdout, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); !strings.HasPrefix(line, "ready ") {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("attune up was not ready: %q, %w: %s", line, err, text)
	}
	return s, s.readConnections()
}

func (s *service) readConnections() error {
	text, err := os.ReadFile(filepath.Join(s.dir, "connections.env"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		s.variables[name] = strings.Trim(value, "'")
	}
	return nil
}

func (s *service) containerd() string { return s.variables["ATTUNE_CONTAINERD_ADDRESS"] }

// close ends the service in order and removes its folder.
func (s *service) close() error {
	var err error
	if s.process != nil && s.process.Process != nil {
		err = errors.Join(s.process.Process.Signal(syscall.SIGTERM), s.process.Wait())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// install uploads a pack with the service's own client and waits until it can be run.
func (s *service) install(ctx context.Context, folder string) error {
	client := exec.CommandContext(ctx, s.binary, "pack", "install", folder, "--wait")
	client.Env = append(client.Environ(), "ATTUNE_URL="+s.variables["ATTUNE_URL"], "ATTUNE_TOKEN="+s.variables["ATTUNE_TOKEN"])
	if said, err := client.CombinedOutput(); err != nil {
		return fmt.Errorf("install pack: %w: %s", err, said)
	}
	return nil
}

// run submits an execution and returns when the API shows its result.
func (s *service) run(ctx context.Context, action string) error {
	id, err := s.submit(ctx, action)
	if err != nil {
		return err
	}
	var e attune.Execution
	for err == nil && !e.Status.Terminal() {
		err = s.call(ctx, http.MethodGet, "/api/v1/executions/"+id+"?wait_seconds=30", nil, &e)
	}
	if err == nil && e.Status != attune.StatusCompleted {
		err = fmt.Errorf("%s ended as %s for %s", action, e.Status, e.Reason)
	}
	return err
}

func (s *service) submit(ctx context.Context, action string) (id string, err error) {
	var e attune.Execution
	err = s.call(ctx, http.MethodPost, "/api/v1/executions", map[string]any{"action": action, "parameters": map[string]any{"n": 1}}, &e)
	return e.ID, err
}

// until asks for an execution until its state is as wanted.
func (s *service) until(ctx context.Context, id string, interval time.Duration, wanted func(attune.Status) bool) (e attune.Execution, err error) {
	for {
		if err := s.call(ctx, http.MethodGet, "/api/v1/executions/"+id, nil, &e); err != nil || wanted(e.Status) {
			return e, err
		}
		if err := pause(ctx, interval); err != nil {
			return e, err
		}
	}
}

func (s *service) call(ctx context.Context, method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	content, err := s.request(ctx, method, path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	return json.Unmarshal(content, &struct{ Data any }{answer})
}

func (s *service) request(ctx context.Context, method, path string, body io.Reader) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.variables["ATTUNE_URL"]+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.variables["ATTUNE_TOKEN"])
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, content)
	}
	return content, err
}

// metric reads a figure from /metrics.
func (s *service) metric(ctx context.Context, name string) (float64, error) {
	text, err := s.request(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// rss is the resident memory of the service's own process, in bytes.
func (s *service) rss() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("the process has no VmRSS")
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
