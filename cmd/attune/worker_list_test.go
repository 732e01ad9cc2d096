package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestWorkerList(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{"GET /api/v1/workers": data(`[
		{"name": "host-1", "capacity": 8, "labels": {"zone": "north", "disk": "fast"}, "started_at": "2026-01-15T12:00:00Z",
			"lease_expires_at": "2026-01-15T12:10:00Z", "alive": true, "executions": ["e-1", "e-2"]},
		{"name": "host-2", "capacity": 4, "started_at": "2026-01-15T12:00:00Z",
		"lease_expires_at": "2026-01-15T12:05:00Z", "alive": false, "executions": []}]`)})
	invocation{api: api}.call(t, "worker", "list").want(t, exitDone, ""+
		"host-1\talive\t2\t8\t2026-01-15T12:00:00Z\t2026-01-15T12:10:00Z\tdisk=fast,zone=north\n"+
		"host-2\tlost\t0\t4\t2026-01-15T12:00:00Z\t2026-01-15T12:05:00Z\t-\n")
}

func TestWorkerForget(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{
		"DELETE /api/v1/workers/host-2": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"DELETE /api/v1/workers/host-1": problem(409,
			`{"detail": "the lease of worker \"host-1\" holds", "code": "conflict"}`),
	})
	invocation{api: api}.call(t, "worker", "forget", "host-2").want(t, exitDone, "worker host-2 removed\n")
	got := invocation{api: api}.call(t, "worker", "forget", "host-1")
	got.want(t, exitOther, "")
	got.wantStderr(t, `the lease of worker "host-1" holds`)
}

// TestWorkerRunsOne: what the service is started with today goes on to start it.
func TestWorkerRunsOne(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"worker"}, {"worker", "run"}} {
		dir := filepath.Join(t.TempDir(), "data")
		got := invocation{}.call(t, append(args, "--data-dir", dir, "--capacity", "1")...)
		got.want(t, exitUsage, "")
		got.wantStderr(t, "not all services are configured")
	}
	help := invocation{}.call(t, "worker", "--help")
	if !strings.Contains(help.stdout, "Without a subcommand it runs a worker") {
		t.Errorf("got %s", help.stdout)
	}
}
