package scheduler

import (
	"log/slog"
	"testing"

	"attune/internal/testservices/owndb"
	"attune/migrations"
	"attune/scheduler/history"
	"attune/storage/storagetest"
)

// crashable is a queue in a database of its own server, which writes nothing to its disk that nobody waits for.
func crashable(t *testing.T) (*owndb.Server, *Queue, *history.Recorder) {
	t.Helper()
	server := owndb.New(t, "wal_level=logical", "wal_writer_delay=10s", "bgwriter_delay=10s")
	if err := migrations.Apply(t.Context(), server.URL); err != nil {
		t.Fatal(err)
	}
	recorder := history.Start(t, server.URL)
	return server, NewQueue(storagetest.ReopenDB(t, server.URL), slog.New(slog.DiscardHandler)), recorder
}

// TestClaimLostInACrashOfTheDatabase: admissions do not wait for the disk, so a crash takes back what a worker has been told. The
// worker must not be able to begin what it holds in its memory alone, not even when it is given the same slot again.
func TestClaimLostInACrashOfTheDatabase(t *testing.T) {
	t.Parallel()
	server, q, recorder := crashable(t)
	installed(t, q.db, action("one", 1))
	life := lifeOf(t, q, "w")
	e := submit(t, q, "ops.one")
	before, err := q.admit(t.Context(), life, 1)
	if err != nil || len(before.claims) != 1 {
		t.Fatalf("admitted %v, %v", before.claims, err)
	}
	server.Crash()
	q.db.Pool().Reset()
	if e, err := q.db.Executions.Get(t.Context(), e.ID); err != nil || e.Status != "queued" {
		t.Fatalf("after the crash it is %s (%v); the admission was to be lost", e.Status, err)
	}
	again, err := q.admit(t.Context(), life, 1)
	if err != nil || len(again.claims) != 1 {
		t.Fatalf("admitted %v after the crash, %v", again.claims, err)
	}
	b := newBook(q, "w")
	begun := 0
	for _, c := range []Claim{before.claims[0], again.claims[0]} {
		ours, err := b.start(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if ours {
			begun++
		}
	}
	if begun != 1 {
		t.Errorf("attempt 1 was begun %d times: claim %d before the crash, claim %d after it", begun, before.claims[0].Number, again.claims[0].Number)
	}
	expectGood(t, recorder)
}
