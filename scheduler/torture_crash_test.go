package scheduler

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"attune/internal/testservices/owndb"
	"attune/migrations"
	"attune/scheduler/history"
	"attune/storage/storagetest"
)

// withOwnServer is a migrated database of a server of its own.
func withOwnServer(t *testing.T, settings ...string) *owndb.Server {
	t.Helper()
	server := owndb.New(t, append(settings, "wal_level=logical", "max_connections=200")...)
	if err := migrations.Apply(t.Context(), server.URL); err != nil {
		t.Fatal(err)
	}
	return server
}

// TestClaimLostInACrashOfTheDatabase: admissions do not wait for the disk, so a crash takes back what a worker has been told. The
// worker must not be able to begin what it holds in its memory alone, not even when it is given the same slot again.
func TestClaimLostInACrashOfTheDatabase(t *testing.T) {
	t.Parallel()
	// What nobody waits for is not written within the time of the test.
	server := withOwnServer(t, "wal_writer_delay=10s", "bgwriter_delay=10s")
	recorder := history.Start(t, server.URL)
	q := NewQueue(storagetest.ReopenDB(t, server.URL), slog.New(slog.DiscardHandler))
	installed(t, q.db, action("one", 1))
	life := lifeOf(t, q, "w")
	e := submit(t, q, "ops.one")
	before, _, err := q.admit(t.Context(), life, 1, false, false)
	if err != nil || len(before) != 1 {
		t.Fatalf("admitted %v, %v", before, err)
	}
	server.Crash()
	q.db.Pool().Reset()
	if e, err := q.db.Executions.Get(t.Context(), e.ID); err != nil || e.Status != "queued" {
		t.Fatalf("after the crash it is %s (%v); the admission was to be lost", e.Status, err)
	}
	again, _, err := q.admit(t.Context(), life, 1, false, false)
	if err != nil || len(again) != 1 {
		t.Fatalf("admitted %v after the crash, %v", again, err)
	}
	b := newBook(q, "w")
	begun := 0
	for _, c := range []Claim{before[0], again[0]} {
		ours, err := b.start(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if ours {
			begun++
		}
	}
	if begun != 1 {
		t.Errorf("attempt 1 was begun %d times: claim %d before the crash, claim %d after it", begun, before[0].Number,
			again[0].Number)
	}
	expectGood(t, recorder)
}

// TestCrashesOfTheDatabaseUnderLoad: the server is killed again and again while everybody works on.
func TestCrashesOfTheDatabaseUnderLoad(t *testing.T) {
	t.Parallel()
	server := withOwnServer(t)
	number, _ := seed(t)
	r := newRound(t, number, server.URL)
	r.run(t, max(3*time.Second, long(t)/4), r.cancels, func(ctx context.Context, _ *testing.T, _ *Queue, random *rand.Rand) {
		for pause(ctx, time.Duration(300+random.IntN(500))*time.Millisecond) {
			server.Crash()
		}
	})
	r.judge(t)
}

// TestOutageOfTheDatabase: the server is away for a while, a minute in the long form, and in good order.
func TestOutageOfTheDatabase(t *testing.T) {
	t.Parallel()
	server := withOwnServer(t)
	number, _ := seed(t)
	r := newRound(t, number, server.URL)
	away := time.Second
	if long(t) > 0 {
		away = time.Minute
	}
	r.run(t, away+2*time.Second, r.cancels, func(ctx context.Context, _ *testing.T, _ *Queue, _ *rand.Rand) {
		pause(ctx, time.Second)
		server.Stop()
		pause(ctx, away)
		server.Start()
	})
	r.judge(t)
}
