package api_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"attune"
)

// claim plays a worker that has taken the execution: it has a slot, and no code has begun.
func (s *service) claim(worker, execution string) {
	s.t.Helper()
	tag, err := s.db.Pool().Exec(s.t.Context(),
		`update executions set status = 'scheduled', worker = $1, scheduled_at = now() where id = $2 and status = 'queued'`, worker, execution)
	if err != nil || tag.RowsAffected() != 1 {
		s.t.Fatalf("claimed %d: %v", tag.RowsAffected(), err)
	}
}

func (s *service) heartbeat(worker string, lease time.Duration) {
	s.t.Helper()
	if err := s.db.Workers.Heartbeat(s.t.Context(), worker, 4, lease); err != nil {
		s.t.Fatal(err)
	}
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	e := s.submit("weather.hello")
	s.heartbeat("host-1", time.Hour)
	s.heartbeat("host-2", -time.Second)
	s.claim("host-2", e.ID)

	find := func(name string) *attune.Worker {
		t.Helper()
		all := data[[]attune.Worker](t, s.get("/api/v1/workers"), 200)
		if i := slices.IndexFunc(all, func(w attune.Worker) bool { return w.Name == name }); i >= 0 {
			return &all[i]
		}
		return nil
	}
	if w := find("host-1"); w == nil || !w.Alive || w.Capacity != 4 || w.Executions == nil || len(w.Executions) != 0 || w.LeaseExpiresAt.IsZero() {
		t.Errorf("got %+v", w)
	}
	if w := find("host-2"); w == nil || w.Alive || !slices.Equal(w.Executions, []string{e.ID}) {
		t.Errorf("got %+v", w)
	}

	wantProblem(t, s.do(http.MethodDelete, "/api/v1/workers/host-1", ""), 409, attune.CodeConflict)
	wantStatus(t, s.do(http.MethodDelete, "/api/v1/workers/host-2", ""), http.StatusNoContent)
	if w := find("host-2"); w != nil {
		t.Errorf("still there: %+v", w)
	}
	// What had not begun has its place again.
	back := data[attune.Execution](t, s.get("/api/v1/executions/"+e.ID), 200)
	if back.Status != attune.StatusQueued || back.Position == nil || *back.Position != 1 {
		t.Errorf("got %+v", back)
	}
	wantProblem(t, s.do(http.MethodDelete, "/api/v1/workers/host-2", ""), 404, attune.CodeNotFound)
}
