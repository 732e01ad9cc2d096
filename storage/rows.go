package storage

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// list runs a query and scans all of its rows. Its result is never nil, so that it becomes [] in JSON.
func list[T any](
	ctx context.Context, db Querier, doing string, scan func(pgx.Row) (T, error), sql string, args ...any,
) ([]T, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, Translate(doing, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) { return scan(row) })
	return all, Translate(doing, err)
}

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// change runs a statement that must touch a row; none is pgx.ErrNoRows.
func change(ctx context.Context, pool *pgxpool.Pool, sql string, args ...any) error {
	tag, err := pool.Exec(ctx, sql, args...)
	if err == nil && tag.RowsAffected() == 0 {
		err = pgx.ErrNoRows
	}
	return err
}

// array keeps a nil slice from becoming NULL.
func array(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// validID reports whether s is a UUID. PostgreSQL fails a statement that compares one with anything else.
func validID(s string) bool { return uuid.Validate(s) == nil }

// newID makes a UUID that sorts by the time it was made.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
