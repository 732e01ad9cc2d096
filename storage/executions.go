package storage

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
)

// Executions reads executions. The scheduler writes them.
type Executions struct{ pool *pgxpool.Pool }

// Pages of a listing.
const (
	DefaultListLimit = 50
	MaxListLimit     = 500
)

// ExecutionFilter narrows a listing; its zero value is everything.
type ExecutionFilter struct {
	Action   string
	Pack     string
	Statuses []attune.Status
	// Since is the earliest time of submission.
	Since time.Time
	// Allowed, where not empty, limits the listing to these packs, as Token.Packs does.
	Allowed []string
	// Cursor is the one that the page before returned.
	Cursor string
	// Limit is DefaultListLimit when 0 and at most MaxListLimit.
	Limit int
}

// ExecutionColumns are what ScanExecution reads, of a table or alias e.
const ExecutionColumns = `e.id, e.action, e.pack, e.pack_version, e.image_digest, e.status, e.reason, e.attempt,
	e.parameters, e.result, e.failure, e.exit_code, e.worker, e.created_at, e.scheduled_at, e.started_at, e.finished_at`

// listColumns leave out results, which may have a megabyte each.
var listColumns = strings.Replace(ExecutionColumns, "e.result", "null::json", 1)

// Get returns one execution, with its position while it waits.
func (s *Executions) Get(ctx context.Context, id string) (attune.Execution, error) {
	if !validID(id) {
		return attune.Execution{}, noExecution(id)
	}
	e, err := scanListed(s.pool.QueryRow(ctx, `select `+ExecutionColumns+`, `+positionColumn+` from executions e where e.id = $1`, id))
	return e, Translate("get execution", err, noExecution(id))
}

const positionColumn = `case when e.status = 'queued' then (select count(*) from executions q
	where q.queue_id = e.queue_id and q.status = 'queued' and q.ticket <= e.ticket) end`

// List returns executions, newest first, and the cursor of the next page, which is empty at the end. They come without
// their results.
func (s *Executions) List(ctx context.Context, f ExecutionFilter) ([]attune.Execution, string, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = DefaultListLimit
	}
	limit = min(limit, MaxListLimit)
	where, args, err := f.conditions()
	if err != nil {
		return nil, "", err
	}
	// One more than asked tells whether there is a next page.
	args = append(args, limit+1)
	found, err := list(ctx, s.pool, "list executions", scanListed, fmt.Sprintf(
		`select %s, %s from executions e where %s order by e.created_at desc, e.id desc limit $%d`,
		listColumns, positionColumn, where, len(args)), args...)
	if err != nil || len(found) <= limit {
		return found, "", err
	}
	found = found[:limit]
	return found, encodeCursor(found[limit-1]), nil
}

// conditions builds only the ones that are asked for, so that each combination can use its index.
func (f *ExecutionFilter) conditions() (string, []any, error) {
	all := []string{"true"}
	var args []any
	add := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		all = append(all, condition)
	}
	if f.Action != "" {
		add("e.action = ?", f.Action)
	}
	if f.Pack != "" {
		add("e.pack = ?", f.Pack)
	}
	if len(f.Statuses) > 0 {
		add("e.status = any(?::text[])", f.Statuses)
	}
	if !f.Since.IsZero() {
		add("e.created_at >= ?", f.Since)
	}
	if len(f.Allowed) > 0 {
		add("e.pack = any(?::text[])", f.Allowed)
	}
	if f.Cursor != "" {
		at, id, err := decodeCursor(f.Cursor)
		if err != nil {
			return "", nil, err
		}
		add("(e.created_at, e.id) < (?, ?::uuid)", at, id)
	}
	return strings.Join(all, " and "), args, nil
}

// A cursor is opaque to those who carry it; inside are the sort keys of the page's last row.
func encodeCursor(last attune.Execution) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", last.CreatedAt.UnixMicro(), last.ID))
}

func decodeCursor(cursor string) (time.Time, string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	micros, id, ok := strings.Cut(string(raw), " ")
	at, atErr := strconv.ParseInt(micros, 10, 64)
	if err != nil || atErr != nil || !ok || !validID(id) {
		return time.Time{}, "", attune.Invalid("the cursor is not one of ours",
			attune.Problem{Field: "cursor", Message: "give next_cursor of the page before as it was, or none"})
	}
	return time.UnixMicro(at), id, nil
}

func noExecution(id string) *attune.Error {
	return attune.Errorf(attune.CodeNotFound, "there is no execution %q", id)
}

// ScanExecution reads a row of ExecutionColumns, and of what the caller selected behind them.
func ScanExecution(row pgx.Row, more ...any) (e attune.Execution, err error) {
	err = row.Scan(append([]any{
		&e.ID, &e.Action, &e.Pack, &e.PackVersion, &e.ImageDigest, &e.Status, &e.Reason, &e.Attempt,
		&e.Parameters, &e.Result, &e.Failure, &e.ExitCode, &e.Worker, &e.CreatedAt, &e.ScheduledAt, &e.StartedAt, &e.FinishedAt,
	}, more...)...)
	return e, err
}

func scanListed(row pgx.Row) (attune.Execution, error) {
	var position *int
	e, err := ScanExecution(row, &position)
	e.Position = position
	return e, err
}
