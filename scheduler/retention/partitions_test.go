package retention

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
	"attune/storage/storagetest"
)

// exec runs statements one after the other.
func exec(t *testing.T, db *storage.DB, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := db.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

func number(t *testing.T, db *storage.DB, sql string, args ...any) (n int) {
	t.Helper()
	if err := db.Pool().QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func today(t *testing.T, db *storage.DB) time.Time {
	t.Helper()
	day, now, err := (history{db}).today(t.Context())
	if err != nil || !day.Equal(now.Truncate(24*time.Hour)) || day.Location() != time.UTC {
		t.Fatalf("today is %v at %v, %v", day, now, err)
	}
	return day
}

// ends inserts executions that were submitted at a time and are over.
func ends(t *testing.T, db *storage.DB, at time.Time, n int) {
	t.Helper()
	if _, err := db.Pool().Exec(t.Context(), `insert into finished (id, queue_key, attempt, action, pack, pack_version,
			installation_id, image_digest, parameters, status, created_at, started_at, finished_at)
		select uuid_v7($1), '', 2, 'ops.a', 'ops', '1', gen_random_uuid(), '', '{}', 'completed', $1, $1, $1
		from generate_series(1, $2)`, at, n); err != nil {
		t.Fatal(err)
	}
}

func TestDaysArePreparedAhead(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	h := history{db}
	day := today(t, db).AddDate(0, 0, 10)
	for range 2 {
		if err := h.prepare(t.Context(), day); err != nil {
			t.Fatal(err)
		}
	}
	ends(t, db, day, 1)
	ends(t, db, day.AddDate(0, 0, 1).Add(-time.Microsecond), 1)
	if n := number(t, db, `select count(*) from finished_`+day.Format("20060102")); n != 2 {
		t.Errorf("the partition has %d rows of the day's first and last microsecond", n)
	}
	days, err := h.days(t.Context())
	if err != nil || len(days) < 2 || !days[len(days)-1].Equal(day) || !days[0].Before(days[1]) {
		t.Errorf("days are %v, %v", days, err)
	}
	if n, err := h.count(t.Context(), day, 10); n != 2 || err != nil {
		t.Errorf("counted %d, %v", n, err)
	}
}

func TestRowsThatCameBeforeTheirPartition(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	h := history{db}
	day := today(t, db).AddDate(0, 0, 10)
	ends(t, db, day.Add(time.Hour), 3)
	ends(t, db, day.AddDate(0, 0, 1), 1)
	exec(t, db, `insert into attempts (execution_id, attempt, status, reason, worker, scheduled_at, finished_at)
		select id, 1, 'failed', '', 'w', created_at, created_at from finished_default`)
	if err := h.prepare(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	name := day.Format("20060102")
	for table, want := range map[string]int{
		"finished_" + name: 3, "finished_default": 1, "finished": 4,
		"attempts_" + name: 3, "attempts_default": 1, "attempts": 4,
	} {
		if n := number(t, db, `select count(*) from `+table); n != want {
			t.Errorf("%s has %d rows, want %d", table, n, want)
		}
	}
	// Every partition has every index still.
	if loose := number(t, db, `select count(*) from pg_inherits p, pg_index i
		where p.inhparent in ('finished'::regclass, 'attempts'::regclass) and i.indrelid = p.inhrelid
			and not exists (select from pg_inherits x where x.inhrelid = i.indexrelid)`); loose != 0 {
		t.Errorf("%d indexes are none of their table's", loose)
	}

	// Too many to move while others wait: they stay and are found, and the day goes on without a partition.
	next := day.AddDate(0, 0, 1)
	ends(t, db, next, 10_000)
	if err := h.prepare(t.Context(), next); err == nil || !strings.Contains(err.Error(), "nothing need be done") {
		t.Errorf("prepare says %v", err)
	}
	ends(t, db, next, 1)
	after := next.AddDate(0, 0, 1)
	if orphans, err := h.hasOrphans(t.Context(), after); !orphans || err != nil {
		t.Errorf("orphans: %v, %v", orphans, err)
	}
	if err := h.removeOrphans(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	if n := number(t, db, `select (select count(*) from finished_default)
			+ (select count(*) from attempts_default)`); n != 0 {
		t.Errorf("%d rows are left in the default partitions", n)
	}
}

func TestDroppingADayWaitsForReadersAndHoldsNothingUp(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	h := history{db}
	day := today(t, db).AddDate(0, 0, -10)
	if err := h.prepare(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	ends(t, db, day, 1)
	reader, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := reader.Exec(t.Context(), `select from finished`); err != nil {
		t.Fatal(err)
	}
	dropped := make(chan error, 1)
	go func() { dropped <- h.drop(t.Context(), day, nil) }()
	deadline := time.Now().Add(15 * time.Second)
	for number(t, db, `select count(*) from pg_locks where not granted and mode = 'AccessExclusiveLock'
			and relation = 'finished'::regclass`) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the drop does not wait for the reader")
		}
		time.Sleep(10 * time.Millisecond)
	}
	begin := time.Now()
	ends(t, db, day.AddDate(0, 0, 10), 1)
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("an execution needed %s to end", took)
	}
	if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-dropped; err != nil {
		t.Fatal(err)
	}
	if n := number(t, db, `select count(*) from finished`); n != 1 {
		t.Errorf("%d rows", n)
	}
	if err := h.drop(t.Context(), day, nil); err != nil {
		t.Errorf("dropped again: %v", err)
	}
}

func TestHistoryStaysWhileReadersNeverEnd(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	h := history{db}
	day := today(t, db).AddDate(0, 0, -10)
	if err := h.prepare(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	err := pgx.BeginFunc(t.Context(), db.Pool(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select from finished`); err != nil {
			return err
		}
		return h.drop(t.Context(), day, nil)
	})
	if attune.CodeOf(err) != attune.CodeUnavailable || !strings.Contains(err.Error(), "backup") ||
		errors.Unwrap(err) == nil {
		t.Errorf("it says %v", err)
	}
}
