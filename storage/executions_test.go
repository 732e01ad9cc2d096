package storage_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"attune"
	"attune/storage"
	"attune/storage/storagetest"
)

// insert adds n executions of an action, one second apart, newest last, and returns their ids.
func insert(t *testing.T, db *storage.DB, pack, action string, status attune.Status, n int) []string {
	t.Helper()
	ctx := t.Context()
	if _, err := db.Pool().Exec(ctx, `insert into queues (action) values ($1) on conflict do nothing`, action); err != nil {
		t.Fatal(err)
	}
	rows, err := db.Pool().Query(ctx, `insert into executions
		(id, queue_id, ticket, action, pack, pack_version, installation_id, image_digest, status, parameters, result, worker,
			created_at, scheduled_at, started_at, finished_at)
		select gen_random_uuid(), q.id, nextval('tickets'), $1, $2, '1.0.0', gen_random_uuid(), 'sha256:' || $1, $3::text, '{"n": 1}',
			case when $3 = 'completed' then 'null'::json end, case when $3 = 'queued' then '' else 'w' end,
			now() + n * interval '1 second', case when $3 <> 'queued' then now() end, case when $3 <> 'queued' then now() end,
			case when $3 = 'completed' then now() end
		from queues q, generate_series(1, $4::int) n where q.action = $1 returning id::text`, action, pack, status, n)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestExecutionWithItsPosition(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx := t.Context()
	insert(t, db, "other", "other.a", attune.StatusQueued, 2)
	ids := insert(t, db, "weather", "weather.forecast", attune.StatusQueued, 3)
	got, err := db.Executions.Get(ctx, ids[2])
	if err != nil {
		t.Fatal(err)
	}
	if got.Position == nil || *got.Position != 3 || string(got.Parameters) != `{"n": 1}` || got.Result != nil || got.Failure != nil {
		t.Errorf("execution is %+v", got)
	}
	if _, err := db.Pool().Exec(ctx, `update executions set status = 'failed', finished_at = now(), exit_code = 3, reason = 'exception',
		failure = '{"error": "a \u0000 b", "error_type": "E"}' where id = $1`, ids[0]); err != nil {
		t.Fatal(err)
	}
	if got, err = db.Executions.Get(ctx, ids[2]); err != nil || *got.Position != 2 {
		t.Errorf("position is %v, %v", got.Position, err)
	}
	failed, err := db.Executions.Get(ctx, ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if failed.Position != nil || *failed.ExitCode != 3 || failed.Reason != attune.ReasonException {
		t.Errorf("execution is %+v", failed)
	}
	if diff := cmp.Diff(&attune.Failure{Error: "a \x00 b", ErrorType: "E"}, failed.Failure); diff != "" {
		t.Error(diff)
	}
	done := insert(t, db, "weather", "weather.forecast", attune.StatusCompleted, 1)
	if got, err := db.Executions.Get(ctx, done[0]); err != nil || string(got.Result) != "null" {
		t.Errorf("a result that is null became %q, %v", got.Result, err)
	}
	for _, id := range []string{"x", ids[0][:35] + "g", "00000000-0000-0000-0000-000000000000"} {
		_, err := db.Executions.Get(ctx, id)
		code(t, err, attune.CodeNotFound)
	}
}

func TestExecutionListing(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	insert(t, db, "weather", "weather.forecast", attune.StatusCompleted, 4)
	insert(t, db, "weather", "weather.report", attune.StatusQueued, 3)
	insert(t, db, "traffic", "traffic.jam", attune.StatusRunning, 2)
	for want, filter := range map[int]storage.ExecutionFilter{
		9: {},
		4: {Action: "weather.forecast"},
		7: {Pack: "weather"},
		5: {Statuses: []attune.Status{attune.StatusQueued, attune.StatusRunning}},
		2: {Allowed: []string{"traffic", "unknown"}},
		1: {Since: time.Now().Add(3500 * time.Millisecond)},
		0: {Pack: "weather", Allowed: []string{"traffic"}},
		3: {Pack: "weather", Statuses: []attune.Status{attune.StatusQueued}, Action: "weather.report", Limit: 3},
	} {
		found, next, err := db.Executions.List(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != want || next != "" || found == nil {
			t.Errorf("%+v lists %d executions and cursor %q, want %d", filter, len(found), next, want)
		}
	}
}

func TestExecutionPages(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ids := insert(t, db, "weather", "weather.forecast", attune.StatusCompleted, 7)
	// Two of the same instant must not fall between pages.
	if _, err := db.Pool().Exec(t.Context(), `update executions set created_at = (select min(created_at) from executions)
		where id = any($1)`, ids[:4]); err != nil {
		t.Fatal(err)
	}
	var pages []int
	seen := map[string]bool{}
	filter := storage.ExecutionFilter{Limit: 3}
	for {
		found, next, err := db.Executions.List(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range found {
			if seen[e.ID] || i > 0 && e.CreatedAt.After(found[i-1].CreatedAt) {
				t.Errorf("%s comes twice or out of order", e.ID)
			}
			seen[e.ID] = true
		}
		pages = append(pages, len(found))
		newest := insert(t, db, "weather", "weather.forecast", attune.StatusQueued, 1) // it must not shift the pages
		if _, err := db.Pool().Exec(t.Context(), `update executions set created_at = now() + interval '1 hour' where id = any($1)`,
			newest); err != nil {
			t.Fatal(err)
		}
		if next == "" {
			break
		}
		filter.Cursor = next
	}
	if fmt.Sprint(pages) != "[3 3 1]" || len(seen) != 7 {
		t.Errorf("pages of %v with %d executions", pages, len(seen))
	}
	encode := base64.RawURLEncoding.EncodeToString
	for _, bad := range []string{"?", encode([]byte("x")), encode([]byte("1 x")), encode([]byte("x " + ids[0]))} {
		_, _, err := db.Executions.List(t.Context(), storage.ExecutionFilter{Cursor: bad})
		code(t, err, attune.CodeInvalid)
		if !strings.Contains(err.Error(), "cursor: ") {
			t.Errorf("the field is not named: %v", err)
		}
	}
}

func TestDigestsOfOpenExecutionsAreKept(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	install(t, db, manifest("weather", "1.0.0", "a"), "sha256:serves")
	insert(t, db, "p", "p.queued", attune.StatusQueued, 2)
	insert(t, db, "p", "p.running", attune.StatusRunning, 1)
	insert(t, db, "p", "p.over", attune.StatusCompleted, 1)
	digests, err := db.Installations.Digests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, d := range digests {
		got[d] = true
	}
	want := map[string]bool{"sha256:serves": true, "sha256:p.queued": true, "sha256:p.running": true}
	if diff := cmp.Diff(want, got); diff != "" || len(digests) != 3 {
		t.Errorf("digests are %v: %s", digests, diff)
	}
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx := t.Context()
	running := insert(t, db, "p", "p.a", attune.StatusRunning, 2)
	for _, capacity := range []int{1, 4} {
		if err := db.Workers.Heartbeat(ctx, "w", capacity, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Workers.Heartbeat(ctx, "gone", 1, -time.Second); err != nil {
		t.Fatal(err)
	}
	workers, err := db.Workers.List(ctx)
	if err != nil || len(workers) != 2 {
		t.Fatal(workers, err)
	}
	if gone := workers[0]; gone.Name != "gone" || gone.Alive || len(gone.Executions) != 0 {
		t.Errorf("worker is %+v", gone)
	}
	if w := workers[1]; !w.Alive || w.Capacity != 4 || len(w.Executions) != len(running) {
		t.Errorf("worker is %+v", w)
	}
	code(t, db.Workers.Delete(ctx, "w"), attune.CodeConflict)
	code(t, db.Workers.Delete(ctx, "nobody"), attune.CodeNotFound)

	made := pending(t, db, manifest("weather", "1.0.0", "a"))
	claim(t, db, "gone")
	if err := db.Workers.Delete(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Installations.Get(ctx, made.ID); err != nil || got.Status != attune.InstallationPending {
		t.Errorf("what the worker was installing is %s, %v", got.Status, err)
	}
	// Its lease is over, but nobody has settled what it ran.
	if err := db.Workers.Heartbeat(ctx, "w", 4, -time.Second); err != nil {
		t.Fatal(err)
	}
	code(t, db.Workers.Delete(ctx, "w"), attune.CodeConflict)
}
