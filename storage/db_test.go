package storage_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"attune"
	"attune/storage"
	"attune/storage/storagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// code fails the test unless err is an error for people of this code that shows nothing of the database.
func code(t *testing.T, err error, want attune.Code) {
	t.Helper()
	if attune.CodeOf(err) != want {
		t.Fatalf("got %v, want a %s error", err, want)
	}
	if text := err.Error(); strings.Contains(text, "SQLSTATE") || strings.Contains(text, "no rows") {
		t.Errorf("the database speaks: %s", text)
	}
}

func TestTranslate(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	missing, taken := attune.Errorf(attune.CodeNotFound, "none"), attune.Errorf(attune.CodeConflict, "taken")
	for sql, want := range map[string]attune.Code{
		`select 1 where false`: attune.CodeNotFound,
		`insert into packs (ref) values ('twice'), ('twice') returning 1`:             attune.CodeConflict,
		`select 1 from pg_sleep(10)`:                                                  attune.CodeUnavailable,
		`do $$ begin raise exception using errcode = 'serialization_failure'; end $$`: attune.CodeUnavailable,
		`insert into packs (ref) values ('NOT VALID') returning 1`:                    "",
		`nonsense`: "",
	} {
		err := pgx.BeginFunc(t.Context(), db.Pool(), func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `set local statement_timeout = '50ms'`); err != nil {
				return err
			}
			rows, err := tx.Query(t.Context(), sql)
			if err != nil {
				return err
			}
			_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
			return err
		})
		got := storage.Translate("try", err, missing, taken)
		if attune.CodeOf(got) != want {
			t.Errorf("%s: got %v, want code %q", sql, got, want)
		}
		if !errors.Is(got, err) && attune.CodeOf(got) == "" {
			t.Errorf("%s: the cause is lost", sql)
		}
	}
	if missing.Cause != nil {
		t.Error("the caller's error was changed")
	}
	if err := storage.Translate("try", taken); !errors.Is(err, taken) {
		t.Errorf("an error for people became %v", err)
	}
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(15 * time.Second)
	for !ok() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-timeout:
			t.Fatalf("it never happened: %s", what)
		}
	}
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	own, err := url.Parse(storagetest.DatabaseURL(t))
	if err != nil {
		t.Fatal(err)
	}
	p := storagetest.NewProxy(t, own.Host)
	own.Host = p.Address
	db := storagetest.ReopenDB(t, own.String())
	p.Cut()
	_, err = db.Packs.Get(t.Context(), "any")
	code(t, err, attune.CodeUnavailable)
	code(t, db.Ping(t.Context()), attune.CodeUnavailable)
	p.Open()
	eventually(t, "the pool recovers", func() bool { return db.Ping(t.Context()) == nil })

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Ping(cancelled); !errors.Is(err, context.Canceled) || attune.CodeOf(err) != "" {
		t.Errorf("a caller who left gets %v", err)
	}
}

func TestListenSurvivesALostConnection(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx, cancel := context.WithCancel(t.Context())
	listener := db.Listen(ctx, "one", "two")
	received := func(channel string) {
		t.Helper()
		select {
		case <-listener.C(channel):
		case <-time.After(10 * time.Second):
			t.Fatalf("no signal on %s", channel)
		}
	}
	silent := func(channel string) {
		t.Helper()
		select {
		case <-listener.C(channel):
			t.Fatalf("a signal on %s", channel)
		default:
		}
	}
	received("one") // the subscription
	received("two")
	for range 3 {
		if err := db.Notify(ctx, "one"); err != nil {
			t.Fatal(err)
		}
	}
	received("one")
	silent("two")
	// The connection breaks, and the listener signals because it may have missed something.
	if _, err := db.Pool().Exec(ctx, `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and query like 'listen%'`); err != nil {
		t.Fatal(err)
	}
	received("two")
	if err := db.Notify(ctx, "two"); err != nil {
		t.Fatal(err)
	}
	received("two")
	cancel()
	listener.Wait()
}

func TestPoolLimitsItself(t *testing.T) {
	t.Parallel()
	databaseURL := storagetest.DatabaseURL(t)
	db := storagetest.ReopenDB(t, databaseURL)
	if got := db.Pool().Config().MaxConns; got != 16 {
		t.Errorf("%d connections by default", got)
	}
	few := storagetest.ReopenDB(t, withQuery(t, databaseURL, "pool_max_conns", "3"))
	if got := few.Pool().Config().MaxConns; got != 3 {
		t.Errorf("%d connections, 3 were asked for", got)
	}
	var name, timeout string
	if err := db.Pool().QueryRow(t.Context(),
		`select current_setting('application_name'), current_setting('statement_timeout')`).
		Scan(&name, &timeout); err != nil {
		t.Fatal(err)
	}
	if name != "attune" || timeout != "30s" {
		t.Errorf("application_name is %s, statement_timeout %s", name, timeout)
	}
}

// withQuery is an URL with one more parameter.
func withQuery(t *testing.T, databaseURL, name, value string) string {
	t.Helper()
	own, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	query := own.Query()
	query.Set(name, value)
	own.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // pgx takes a plus sign as it is
	return own.String()
}

// TestStatementsHaveTheirOwnSnapshots: whatever the default of others is, ours is the one that admission relies on.
func TestStatementsHaveTheirOwnSnapshots(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ setting, option string }{
		"of the database": {setting: `alter database %I set default_transaction_isolation = 'repeatable read'`},
		"of the role": {
			setting: `alter role current_user in database %I set default_transaction_isolation = 'serializable'`,
		},
		"of the options": {option: `-c default_transaction_isolation=serializable`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databaseURL := storagetest.DatabaseURL(t)
			if test.setting != "" {
				if _, err := storagetest.ReopenDB(t, databaseURL).Pool().Exec(t.Context(),
					`do $do$ begin execute format($$`+test.setting+`$$, current_database()); end $do$`); err != nil {
					t.Fatal(err)
				}
			} else {
				databaseURL = withQuery(t, databaseURL, "options", test.option)
			}
			if got := levelSeen(t, databaseURL); got == "read committed" {
				t.Error("the setting has no effect, so this test says nothing")
			}
			db := storagetest.ReopenDB(t, databaseURL)
			var level string
			err := db.Pool().QueryRow(t.Context(), `show transaction_isolation`).Scan(&level)
			if err != nil || level != "read committed" {
				t.Errorf("transactions are %s (%v)", level, err)
			}
		})
	}
}

// levelSeen is the isolation that somebody else gets.
func levelSeen(t *testing.T, databaseURL string) (level string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), `show transaction_isolation`).Scan(&level); err != nil {
		t.Fatal(err)
	}
	return level
}

func TestURLThatAsksForAnotherIsolation(t *testing.T) {
	t.Parallel()
	databaseURL := storagetest.DatabaseURL(t)
	_, err := storage.Open(t.Context(), withQuery(t, databaseURL, "default_transaction_isolation", "repeatable read"), nil)
	if err == nil || !strings.Contains(err.Error(), `sets default_transaction_isolation to "repeatable read"`) {
		t.Errorf("it was opened: %v", err)
	}
	storagetest.ReopenDB(t, withQuery(t, databaseURL, "default_transaction_isolation", "Read Committed"))
}
