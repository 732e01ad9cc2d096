package api_test

import (
	"net/http"
	"slices"
	"testing"

	"attune"
)

// claim plays a worker that has taken the execution: it has a slot, and no code has begun.
func (s *service) claim(worker, execution string) {
	s.t.Helper()
	tag, err := s.db.Pool().Exec(s.t.Context(), `with gone as (
			delete from waiting where id = $2 returning *
		), counted as (
			update heads h set departed = departed + 1 from gone where h.queue_id = gone.queue_id
		)
		update slots set status = 'scheduled', id = g.id, queue_id = g.queue_id, ticket = g.ticket, attempt = g.attempt,
			action = g.action, pack = g.pack, pack_version = g.pack_version, installation_id = g.installation_id,
			image_digest = g.image_digest, parameters = g.parameters, created_at = g.created_at, queued_at = g.queued_at,
			scheduled_at = now()
		from gone g where worker = $1 and number = 1`, worker, execution)
	if err != nil || tag.RowsAffected() != 1 {
		s.t.Fatalf("claimed %d: %v", tag.RowsAffected(), err)
	}
}

// register plays a worker that has just started.
func (s *service) register(worker string, capacity int) {
	s.t.Helper()
	for _, sql := range []string{
		`insert into workers (name, life, capacity, started_at, lease_expires_at)
			values ($1, gen_random_uuid(), $2, now(), now() + interval '15 seconds')
			on conflict (name) do update set lease_expires_at = excluded.lease_expires_at`,
		`insert into slots (worker, number) select $1, n from generate_series(1, $2) n on conflict do nothing`,
	} {
		if _, err := s.db.Pool().Exec(s.t.Context(), sql, worker, capacity); err != nil {
			s.t.Fatal(err)
		}
	}
}

// join makes a worker known whose lease has run out, or not.
func (s *service) join(worker string, lost bool) {
	s.t.Helper()
	s.register(worker, 4)
	if !lost {
		return
	}
	if _, err := s.db.Pool().Exec(s.t.Context(),
		`update workers set lease_expires_at = now() - interval '1 second' where name = $1`, worker); err != nil {
		s.t.Fatal(err)
	}
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	e := s.submit("weather.hello")
	s.join("host-1", false)
	s.join("host-2", true)
	s.claim("host-2", e.ID)

	find := func(name string) *attune.Worker {
		t.Helper()
		all := data[[]attune.Worker](t, s.get("/api/v1/workers"), 200)
		if i := slices.IndexFunc(all, func(w attune.Worker) bool { return w.Name == name }); i >= 0 {
			return &all[i]
		}
		return nil
	}
	if w := find("host-1"); w == nil || !w.Alive || w.Capacity != 4 || w.Executions == nil || len(w.Executions) != 0 ||
		w.LeaseExpiresAt.IsZero() {
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
	// Only its host knew whether it had begun.
	lost := data[attune.Execution](t, s.get("/api/v1/executions/"+e.ID), 200)
	if lost.Status != attune.StatusAbandoned || lost.Reason != attune.ReasonWorkerLost {
		t.Errorf("got %+v", lost)
	}
	wantProblem(t, s.do(http.MethodDelete, "/api/v1/workers/host-2", ""), 404, attune.CodeNotFound)
}
