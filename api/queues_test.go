package api_test

import (
	"net/http"
	"strings"
	"testing"

	"attune"
)

// submitWith queues an execution with parameters.
func (s *service) submitWith(action, parameters string) attune.Execution {
	s.t.Helper()
	return data[attune.Execution](s.t, s.do(http.MethodPost, "/api/v1/executions",
		`{"action": "`+action+`", "parameters": `+parameters+`}`), http.StatusAccepted)
}

func (s *service) setPolicy(scope, policy string) {
	s.t.Helper()
	wantStatus(s.t, s.do(http.MethodPut, "/api/v1/policies/"+scope, policy), 200)
}

func TestQueues(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	s.install(packFiles("tickets", "1.0.0"))
	if queues := data[[]attune.QueueState](t, s.get("/api/v1/queues"), 200); len(queues) != 0 {
		t.Errorf("got %+v while nothing waits", queues)
	}
	s.setPolicy("actions/weather.hello", `{"concurrency": {"limit": 1, "key": ["name"], "total": 3}}`)
	for _, name := range []string{"Ada", "Ada", "Ada", "Eva"} {
		s.submitWith("weather.hello", `{"name": "`+name+`"}`)
	}
	s.submit("tickets.hello")
	s.submit("tickets.hello")

	queues := data[[]attune.QueueState](t, s.get("/api/v1/queues"), 200)
	if len(queues) != 3 || queues[0].Action != "weather.hello" || queues[0].Key != `{"name":"Ada"}` ||
		queues[0].Waiting != 3 ||
		queues[1].Action != "tickets.hello" || queues[1].Key != "" || queues[1].Waiting != 2 || queues[2].Waiting != 1 {
		t.Errorf("got %+v", queues)
	}
	limited := data[[]attune.QueueState](t, s.get("/api/v1/queues", as(s.token(attune.RoleViewer, "tickets"))), 200)
	if len(limited) != 1 || limited[0].Action != "tickets.hello" {
		t.Errorf("a token of tickets sees %+v", limited)
	}

	stats := data[attune.QueueStats](t, s.get("/api/v1/actions/weather.hello/queue-stats"), 200)
	if stats.Waiting != 4 || stats.Limit == nil || *stats.Limit != 3 || len(stats.Keys) != 2 {
		t.Errorf("got %+v", stats)
	}
	for _, key := range stats.Keys {
		if want := map[string]int{`{"name":"Ada"}`: 3, `{"name":"Eva"}`: 1}[key.Key]; key.Waiting != want ||
			key.Limit == nil || *key.Limit != 1 {
			t.Errorf("got %+v", key)
		}
	}
}

func TestWhy(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	first, second := s.submit("weather.hello"), s.submit("weather.hello")
	s.join("host-1", false)
	s.claim("host-1", first.ID)
	why := data[attune.Explanation](t, s.get("/api/v1/executions/"+second.ID+"/why"), 200)
	if why.Execution != second.ID || why.Status != attune.StatusQueued || why.Position == nil || *why.Position != 1 ||
		why.Summary == "" {
		t.Errorf("got %+v", why)
	}
	if g := why.Gate; g == nil || g.Kind != attune.GateConcurrency || g.Limit != 1 || g.Taken != 1 ||
		len(g.Holders) != 1 || g.Holders[0].Execution != first.ID {
		t.Errorf("got gate %+v", g)
	}
}

// TestWhyKeepsToTheToken: a gate over all packs is held by executions that a limited token must not know of.
func TestWhyKeepsToTheToken(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	s.install(packFiles("tickets", "1.0.0"))
	s.setPolicy("global", `{"concurrency": {"limit": 1}}`)
	holder, waiting := s.submit("weather.hello"), s.submit("tickets.hello")
	s.join("host-1", false)
	s.claim("host-1", holder.ID)
	path := "/api/v1/executions/" + waiting.ID + "/why"
	if g := data[attune.Explanation](t, s.get(path), 200).Gate; g == nil || g.Scope != "global" || len(g.Holders) != 1 {
		t.Errorf("got gate %+v", g)
	}
	limited := s.get(path, as(s.token(attune.RoleViewer, "tickets")))
	if g := data[attune.Explanation](t, limited, 200).Gate; g == nil || g.Taken != 1 || len(g.Holders) != 0 {
		t.Errorf("got gate %+v", g)
	}
	if text := string(limited.body); strings.Contains(text, holder.ID) || strings.Contains(text, "weather") {
		t.Errorf("tells of another pack's execution: %s", text)
	}
}
