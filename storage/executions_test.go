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

// insert adds n executions of an action, one second apart, the newest last and made now, and returns their ids.
func insert(t *testing.T, db *storage.DB, pack, action string, status attune.Status, n int) []string {
	t.Helper()
	ctx := t.Context()
	var queue int32
	if err := db.Pool().QueryRow(ctx, `insert into queues (action, pack, key) values ($1, $2, '')
			on conflict (action, key) do update set pack = $2 returning id`, action, pack).Scan(&queue); err != nil {
		t.Fatal(err)
	}
	into := map[attune.Status]string{
		attune.StatusQueued: `insert into waiting (id, queue_id, ticket, action, pack, pack_version, installation_id,
				image_digest, parameters, created_at, queued_at)
			select uuid_v7(at), $1, nextval('tickets'), $2, $3, '1.0.0', gen_random_uuid(), 'sha256:' || $2, '{"n": 1}', at, at`,
		attune.StatusRunning: `insert into slots (worker, number, status, id, queue_id, ticket, attempt, action, pack,
				pack_version, installation_id, image_digest, parameters, created_at, queued_at, scheduled_at, started_at)
			select 'w', n, 'running', uuid_v7(at), $1, nextval('tickets'), 1, $2, $3, '1.0.0',
				gen_random_uuid(), 'sha256:' || $2, '{"n": 1}', at, at, at, at`,
		attune.StatusCompleted: `insert into finished (id, queue_key, attempt, action, pack, pack_version,
				installation_id, image_digest, parameters, status, result, worker, created_at, scheduled_at,
				started_at, finished_at)
			select uuid_v7(at), left($1::int::text, 0), 1, $2, $3, '1.0.0', gen_random_uuid(), 'sha256:' || $2,
				'{"n": 1}', 'completed', 'null', 'w', at, at, at, at`,
	}[status]
	rows, err := db.Pool().Query(ctx, into+` from (select n, clock_timestamp() + (n - $4) * interval '1 second' as at
			from generate_series(1, $4::int) n) times
		order by n returning id::text`, queue, action, pack, n)
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
	if got.Position == nil || *got.Position != 3 || string(got.Parameters) != `{"n": 1}` ||
		got.Result != nil || got.Failure != nil {
		t.Errorf("execution is %+v", got)
	}
	_, err = db.Pool().Exec(ctx, `with gone as (delete from waiting where id = $1 returning *)
		insert into finished (id, queue_key, attempt, action, pack, pack_version, installation_id, image_digest, parameters,
			status, exit_code, reason, failure, created_at, finished_at)
		select id, '', attempt, action, pack, pack_version, installation_id, image_digest, parameters,
			'failed', 3, 'exception', '{"error": "a \u0000 b", "error_type": "E"}', created_at, now() from gone`, ids[0])
	if err != nil {
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
		1: {Pack: "traffic", Since: time.Now().Add(-500 * time.Millisecond)},
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
	for _, filter := range []storage.ExecutionFilter{
		{Limit: 3}, {Limit: 3, Pack: "weather"}, {Limit: 3, Allowed: []string{"weather", "traffic"}},
	} {
		db := storagetest.OpenDB(t)
		insert(t, db, "weather", "weather.forecast", attune.StatusCompleted, 4)
		insert(t, db, "weather", "weather.report", attune.StatusCompleted, 3)
		var pages []int
		seen := map[string]bool{}
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
			insert(t, db, "weather", "weather.late", attune.StatusQueued, 1) // it must not shift the pages
			if next == "" {
				break
			}
			filter.Cursor = next
		}
		if fmt.Sprint(pages) != "[3 3 1]" || len(seen) != 7 {
			t.Errorf("%+v: pages of %v with %d executions", filter, pages, len(seen))
		}
	}
}

func TestCursorThatIsNotOurs(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ids := insert(t, db, "weather", "weather.forecast", attune.StatusCompleted, 1)
	encode := base64.RawURLEncoding.EncodeToString
	for _, bad := range []string{"?", encode([]byte("x")), encode([]byte(ids[0] + "x"))} {
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
	pending(t, db, manifest("weather", "1.0.0", "a"))
	const serve = `update packs set version = '1.0.0', image_digest = 'sha256:serves'`
	if _, err := db.Pool().Exec(t.Context(), serve); err != nil {
		t.Fatal(err)
	}
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
	register(t, db, "w", 4)
	register(t, db, "gone", 1)
	expire(t, db, "gone")
	workers, err := db.Workers.List(ctx)
	if err != nil || len(workers) != 2 {
		t.Fatal(workers, err)
	}
	if gone := workers[0]; gone.Name != "gone" || gone.Alive || len(gone.Executions) != 0 {
		t.Errorf("worker is %+v", gone)
	}
	if w := workers[1]; !w.Alive || w.Capacity != 4 || len(w.Executions) != len(running) || w.Labels["zone"] != "a" {
		t.Errorf("worker is %+v", w)
	}
}

// register makes a worker known, with a lease that holds.
func register(t *testing.T, db *storage.DB, worker string, capacity int) {
	t.Helper()
	_, err := db.Pool().Exec(t.Context(), `insert into workers (name, life, capacity, labels, started_at, lease_expires_at)
		values ($1, gen_random_uuid(), $2, '{"zone": "a"}', now(), now() + interval '15 seconds')`, worker, capacity)
	if err != nil {
		t.Fatal(err)
	}
}

// expire makes a worker's lease run out.
func expire(t *testing.T, db *storage.DB, worker string) {
	t.Helper()
	const expired = `update workers set lease_expires_at = now() - interval '1 second' where name = $1`
	if _, err := db.Pool().Exec(t.Context(), expired, worker); err != nil {
		t.Fatal(err)
	}
}
