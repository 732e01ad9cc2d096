package history

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Recorder keeps the log of a database's commits from its start on. It costs a replication slot of the server, which
// needs wal_level = logical.
type Recorder struct {
	url  string
	slot string
	all  []Transaction
}

// Start records until the test ends. The tables must be empty, since the log does not have earlier rows.
func Start(tb testing.TB, databaseURL string) *Recorder {
	tb.Helper()
	r, err := record(tb.Context(), databaseURL)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// The database cannot be dropped before.
		if err := r.close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	return r
}

func record(ctx context.Context, databaseURL string) (*Recorder, error) {
	r := &Recorder{url: databaseURL, slot: "history_" + strings.ReplaceAll(uuid.NewString(), "-", "")}
	err := r.do(ctx, func(conn *pgx.Conn) error {
		if err := logWholeRows(ctx, conn); err != nil {
			return err
		}
		// Waits for the end of all transactions that are under way on the server.
		_, err := conn.Exec(ctx, `select pg_create_logical_replication_slot($1, 'test_decoding')`, r.slot)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("record the history: %w", err)
	}
	return r, nil
}

// logWholeRows makes the log of updates and deletes contain the old row, for partitions, too.
func logWholeRows(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `select c.oid::regclass::text from pg_class c
		left join pg_inherits i on i.inhrelid = c.oid
		where coalesce(i.inhparent, c.oid) = any($1::text[]::regclass[]) and c.relkind in ('r', 'p')`, tables)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, "alter table "+name+" replica identity full"); err != nil {
			return err
		}
	}
	return nil
}

// Transactions returns all transactions committed since the start.
func (r *Recorder) Transactions(ctx context.Context) ([]Transaction, error) {
	var lines []string
	err := r.do(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `select data from pg_logical_slot_get_changes($1, null, null, 'skip-empty-xacts', '1')`,
			r.slot)
		if err != nil {
			return err
		}
		lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	more, err := Parse(lines)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	r.all = append(r.all, more...)
	return r.all, nil
}

func (r *Recorder) close(ctx context.Context) error {
	return r.do(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `select pg_drop_replication_slot($1)`, r.slot)
		return err
	})
}

// do opens a connection of its own each time, since some tests end idle connections at random.
func (r *Recorder) do(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, r.url)
	if err != nil {
		return err
	}
	return errors.Join(f(conn), conn.Close(ctx))
}
