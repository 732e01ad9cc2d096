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
type Executions struct{ pool, lists *pgxpool.Pool }

// Pages of a listing.
const (
	defaultListLimit = 50
	maxListLimit     = 500
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
	// Cursor is the one that came with the page before.
	Cursor string
	// Limit is defaultListLimit when 0 and at most maxListLimit.
	Limit int
}

// executionColumns are what scanExecution reads, of the view executions as e.
const executionColumns = `e.id, e.action, e.pack, e.pack_version, e.queue_key, e.image_digest, e.status, e.reason,
	e.attempt, e.parameters, e.result, e.failure, e.exit_code, e.worker, e.created_at, e.scheduled_at, e.started_at,
	e.finished_at, e.retry_at, e.usage, e.outputs,
	case when e.status = 'queued' and e.ticket is not null then (select count(*) from waiting w
		where w.queue_id = e.queue_id and w.ticket <= e.ticket) end`

// listColumns leave out what may be large, so that an entry has a few kilobytes at most. An older failure may have a
// NUL, which PostgreSQL cannot give back as text.
var listColumns = strings.NewReplacer(
	"e.parameters", "null::json", "e.result", "null::json", "e.outputs", "null::json",
	"e.failure", `case when e.failure is not null then (
		select json_build_object('error', left(f ->> 'error', 200), 'error_type', left(f ->> 'error_type', 200))
		from (select replace(e.failure::text, '\u0000', '\ufffd')::json as f) as failure) end`,
).Replace(executionColumns)

// Get returns one execution, with its position while it waits and the attempts that failed.
func (s *Executions) Get(ctx context.Context, id string) (attune.Execution, error) {
	return GetExecution(ctx, s.pool, id)
}

// GetExecution is Executions.Get on a pool or within a transaction.
func GetExecution(ctx context.Context, db Querier, id string) (attune.Execution, error) {
	if !validID(id) {
		return attune.Execution{}, noExecution(id)
	}
	e, err := scanExecution(db.QueryRow(ctx, `select `+executionColumns+` from executions e where e.id = $1`, id))
	if err != nil || e.Attempt == 1 {
		return e, Translate("get execution", err, noExecution(id))
	}
	e.Attempts, err = list(ctx, db, "list attempts", scanAttempt, `select attempt, status, reason, exit_code, failure,
		worker, scheduled_at, started_at, finished_at, usage, outputs
		from attempts where execution_id = $1 order by attempt`, id)
	return e, err
}

// GetExecutions returns executions in the order of their ids, as List does.
func GetExecutions(ctx context.Context, db Querier, ids []string) ([]attune.Execution, error) {
	found, err := list(ctx, db, "get executions", scanExecution, `select `+listColumns+`
		from executions e where e.id = any($1::uuid[]) order by array_position($1::uuid[], e.id)`, ids)
	if err == nil && len(found) != len(ids) {
		return nil, attune.Errorf(attune.CodeNotFound, "some of the executions are not kept any more")
	}
	return found, err
}

// List returns executions, newest first, and the cursor of the next page, which is empty at the end. They come without
// their parameters, results and outputs, and with the beginning of their failures.
func (s *Executions) List(ctx context.Context, f ExecutionFilter) ([]attune.Execution, string, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = defaultListLimit
	}
	limit = min(limit, maxListLimit)
	where, args, err := f.conditions()
	if err != nil {
		return nil, "", err
	}
	from := `executions e where ` + where
	args = append(args, limit+1) // one more shows whether there is a next page
	newest := fmt.Sprintf(`order by e.id desc limit $%d`, len(args))
	if packs := f.packs(); len(packs) > 0 && f.Action == "" {
		args = append(args, packs)
		from = fmt.Sprintf(ofPacks, where, newest, len(args))
	}
	found, err := list(ctx, s.lists, "list executions", scanExecution,
		`select `+listColumns+` from `+from+` `+newest, args...)
	if err != nil || len(found) <= limit {
		return found, "", err
	}
	found = found[:limit]
	return found, encodeCursor(found[limit-1]), nil
}

// ofPacks takes the newest finished executions of each action that ever had a queue, and then the newest of these. An
// index by pack would cost something at the end of every execution.
const ofPacks = `(
	(select * from executions e where e.status in ('queued', 'scheduled', 'running', 'canceling') and %[1]s %[2]s)
	union all
	select e.* from (select distinct action from queues where pack = any($%[3]d::text[])) known cross join lateral (
		select * from executions e where e.action = known.action and e.finished_at is not null and %[1]s %[2]s) e) e`

// packs are the packs that the listing is limited to; none means all.
func (f *ExecutionFilter) packs() []string {
	if f.Pack != "" {
		return []string{f.Pack}
	}
	return f.Allowed
}

// conditions has only the conditions that are asked for, so that each combination can use its index.
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
		// The second condition skips older partitions. Ids and times may come from different clocks.
		add("e.created_at >= ? and e.id >= uuid_floor(?::timestamptz - interval '1 hour')", f.Since, f.Since)
	}
	if len(f.Allowed) > 0 {
		add("e.pack = any(?::text[])", f.Allowed)
	}
	if f.Cursor != "" {
		id, err := decodeCursor(f.Cursor)
		if err != nil {
			return "", nil, err
		}
		add("e.id < ?::uuid", id)
	}
	return strings.Join(all, " and "), args, nil
}

// A cursor is opaque to clients. It holds the id of the page's last row.
func encodeCursor(last attune.Execution) string {
	return base64.RawURLEncoding.EncodeToString([]byte(last.ID))
}

func decodeCursor(cursor string) (string, error) {
	id, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || !validID(string(id)) {
		return "", wrongCursor()
	}
	return string(id), nil
}

func wrongCursor() *attune.Error {
	return attune.Invalid("the cursor is not one of ours",
		attune.Problem{Field: "cursor", Message: "give next_cursor of the page before as it was, or none"})
}

func noExecution(id string) *attune.Error {
	return attune.Errorf(attune.CodeNotFound, "there is no execution %q", id)
}

func scanExecution(row pgx.Row) (e attune.Execution, err error) {
	err = row.Scan(&e.ID, &e.Action, &e.Pack, &e.PackVersion, &e.Key, &e.ImageDigest, &e.Status, &e.Reason, &e.Attempt,
		&e.Parameters, &e.Result, &e.Failure, &e.ExitCode, &e.Worker, &e.CreatedAt, &e.ScheduledAt, &e.StartedAt,
		&e.FinishedAt, &e.RetryAt, &e.Usage, &e.Outputs, &e.Position)
	return e, err
}

func scanAttempt(row pgx.Row) (a attune.Attempt, err error) {
	err = row.Scan(&a.Attempt, &a.Status, &a.Reason, &a.ExitCode, &a.Failure, &a.Worker, &a.ScheduledAt, &a.StartedAt,
		&a.FinishedAt, &a.Usage, &a.Outputs)
	return a, err
}
