package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// execution is what the API tells of one, as far as the benchmark needs it.
type execution struct {
	ID, Status, Reason string
	FinishedAt         *time.Time `json:"finished_at"`
	Usage              struct {
		CPUSeconds float64 `json:"cpu_seconds"`
	}
}

// processorTime is what its sandbox has used, from its making to its end.
func (e execution) processorTime() time.Duration {
	return time.Duration(e.Usage.CPUSeconds * float64(time.Second))
}

// run submits an execution and returns when the API shows its result.
func (s *service) run(ctx context.Context, action string) (e execution, err error) {
	id, err := s.submit(ctx, action)
	for err == nil && e.FinishedAt == nil {
		err = s.call(ctx, http.MethodGet, "/api/v1/executions/"+id+"?wait_seconds=30", nil, &e)
	}
	if err == nil && e.Status != "completed" {
		err = fmt.Errorf("%s ended as %s for %s", action, e.Status, e.Reason)
	}
	return e, err
}

// complete is run for those that need nothing of the execution but its end.
func (s *service) complete(ctx context.Context, action string) error {
	_, err := s.run(ctx, action)
	return err
}

func (s *service) submit(ctx context.Context, action string) (id string, err error) {
	var e execution
	body := map[string]any{"action": action, "parameters": map[string]any{"n": 1}}
	err = s.call(ctx, http.MethodPost, "/api/v1/executions", body, &e)
	return e.ID, err
}

// untilRunning asks for an execution until it runs.
func (s *service) untilRunning(ctx context.Context, id string) error {
	for {
		var e execution
		if err := s.call(ctx, http.MethodGet, "/api/v1/executions/"+id, nil, &e); err != nil || e.Status == "running" {
			return err
		}
		if e.FinishedAt != nil {
			return fmt.Errorf("an execution that is to run on is %s for %s", e.Status, e.Reason)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func (s *service) cancel(ctx context.Context, id string) error {
	return s.call(ctx, http.MethodPost, "/api/v1/executions/"+id+"/cancel", struct{}{}, new(execution))
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
	answer, err := s.http.Do(request)
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

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
