package main

import (
	"net/http"
	"testing"
)

func TestExecutionWhy(t *testing.T) {
	t.Parallel()
	const held = `{"execution": "e-2", "status": "queued", "action": "weather.report", "key": "{\"city\":\"Oslo\"}",
		"position": 3,
		"gate": {"kind": "concurrency", "scope": "queues/weather.report", "limit": 1, "taken": 1, "holders": [
			{"execution": "e-1", "action": "weather.report", "status": "running", "worker": "host-1",
			"scheduled_at": "2026-01-15T12:00:00Z", "started_at": "2026-01-15T12:00:01Z"},
			{"execution": "e-3", "action": "weather.report", "status": "scheduled", "worker": "host-2",
			"scheduled_at": "2026-01-15T12:00:00Z"}]},
		"expected_start_at": "2026-01-15T12:01:00Z", "summary": "third in its queue"}`
	const begin = "why\tthird in its queue\nexecution\te-2\nstatus\tqueued\naction\tweather.report\n"
	for name, test := range map[string]struct{ why, stdout string }{
		"held": {held, begin + "key\t{\"city\":\"Oslo\"}\nposition\t3\ngate\tconcurrency of queues/weather.report: 1 of 1 " +
			"slots taken\n" +
			"expected start\t2026-01-15T12:01:00Z\n" +
			"e-1\tweather.report\trunning\thost-1\t2026-01-15T12:00:00Z\t2026-01-15T12:00:01Z\n" +
			"e-3\tweather.report\tscheduled\thost-2\t2026-01-15T12:00:00Z\t-\n"},
		"rate": {`{"execution": "e-2", "status": "queued", "action": "weather.report", 
			"summary": "third in its queue", "gate":
			{"kind": "rate_limit", "scope": "packs/weather", "limit": 100, "taken": 100, "window_seconds": 60,
			"opens_at": "2026-01-15T12:01:00Z"}}`,
			begin + "gate\trate limit of packs/weather: 100 of 100 starts within 1m\nopens\t2026-01-15T12:01:00Z\n"},
		"backoff": {`{"execution": "e-2", "status": "queued", "action": "weather.report",
			"summary": "third in its queue", "gate":
			{"kind": "backoff", "scope": "queues/weather.report", "limit": 0, "taken": 0, "opens_at": "2026-01-15T12:01:00Z"}}`,
			begin + "gate\tbackoff: the pause after an attempt that failed\nopens\t2026-01-15T12:01:00Z\n"},
		"workers": {`{"execution": "e-2", "status": "queued", "action": "weather.report",
			"summary": "third in its queue", "gate":
			{"kind": "workers", "scope": "global", "limit": 8, "taken": 8}}`,
			begin + "gate\tworkers: 8 of 8 slots taken\n"},
		"free": {`{"execution": "e-2", "status": "queued", "action": "weather.report", "summary": "third in its queue"}`,
			begin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := routes(t, map[string]http.HandlerFunc{"GET /api/v1/executions/e-2/why": data(test.why)})
			invocation{api: api}.call(t, "execution", "why", "e-2").want(t, exitDone, test.stdout)
		})
	}
}

func TestExecutionShowAttempts(t *testing.T) {
	t.Parallel()
	document := execution("queued", `, "attempt": 3, "key": "{\"city\":\"Oslo\"}", "retry_at": "2026-01-15T12:00:09Z",
		"attempts": [
		{"attempt": 1, "status": "failed", "reason": "exit_code", "exit_code": 7, "worker": "host-1",
		"scheduled_at": "2026-01-15T12:00:00Z",
			"started_at": "2026-01-15T12:00:01Z", "finished_at": "2026-01-15T12:00:02.5Z"},
		{"attempt": 2, "status": "failed", "reason": "sandbox_failed", "worker": "host-2",
		"scheduled_at": "2026-01-15T12:00:04Z", "finished_at": "2026-01-15T12:00:05Z"}]`)
	api := routes(t, map[string]http.HandlerFunc{"GET /api/v1/executions/e-1": data(document)})
	invocation{api: api}.call(t, "execution", "show", "e-1").want(t, exitDone,
		"execution\te-1\naction\tweather.report\nkey\t{\"city\":\"Oslo\"}\n"+
			"status\tqueued\nattempt\t3\nretry at\t2026-01-15T12:00:09Z\ncreated\t2026-01-15T12:00:00Z\n"+
			"attempt 1\tfailed (exit status 7) on host-1 after 1.500s\nattempt 2\tfailed (sandbox_failed) on host-2\n")
}
