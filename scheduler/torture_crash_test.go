package scheduler

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"attune"
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

// TestClaimOutlivesACrashOfTheDatabase: what a worker has been told it was given, it may begin at once.
func TestClaimOutlivesACrashOfTheDatabase(t *testing.T) {
	t.Parallel()
	// What no commit waits for is not written within the time of the test.
	server := withOwnServer(t, "wal_writer_delay=10s", "bgwriter_delay=10s")
	recorder := history.Start(t, server.URL)
	q := NewQueue(storagetest.ReopenDB(t, server.URL), slog.New(slog.DiscardHandler))
	installed(t, q.db, action("one", 1))
	life := lifeOf(t, q, "w")
	e := submit(t, q, "ops.one")
	submit(t, q, "ops.one")
	claims := admitAs(t, q, life, 1)
	if len(claims) != 1 || claims[0].ID != e.ID {
		t.Fatalf("admitted %v", ids(claims))
	}
	server.Crash()
	q.db.Pool().Reset()
	wantEnd(t, q, e.ID, attune.StatusScheduled, "")
	if again := admitAs(t, q, life, 1); len(again) != 0 {
		t.Errorf("after the crash it is given %v, too", ids(again))
	}
	end(t, q, "w", claims[0])
	wantEnd(t, q, e.ID, attune.StatusCompleted, "")
	expectGood(t, recorder)
}

// TestCrashesOfTheDatabaseUnderLoad: the server is killed again and again while everybody works on.
func TestCrashesOfTheDatabaseUnderLoad(t *testing.T) {
	t.Parallel()
	server := withOwnServer(t)
	number, _ := seed(t)
	r := newRound(t, number, server.URL)
	r.run(t, max(3*time.Second, long(t)/4), r.cancels, func(ctx context.Context, _ *testing.T, _ *Queue,
		random *rand.Rand) {
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
