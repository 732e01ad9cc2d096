package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"attune"
	"attune/storage"
	"attune/storage/logs"
)

type executionInput struct {
	ID string `path:"id" maxLength:"36" doc:"The execution's id."`
}

type getExecutionInput struct {
	ID          string `path:"id" maxLength:"36" doc:"The execution's id."`
	WaitSeconds int    `query:"wait_seconds" minimum:"0" maximum:"30" default:"0" doc:"Answer when the execution is over, or after this time."`
}

type listExecutionsInput struct {
	Action string   `query:"action" maxLength:"127" doc:"Only executions of this action, by ref."`
	Pack   string   `query:"pack" maxLength:"63" doc:"Only executions of this pack's actions."`
	Status []string `query:"status,explode" maxItems:"20" doc:"Only these statuses; repeatable, or separated by commas."`
	Since  string   `query:"since" format:"date-time" doc:"Only executions submitted at or after this time, RFC 3339."`
	Cursor string   `query:"cursor" maxLength:"512" doc:"next_cursor of the page before."`
	Limit  int      `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"The most executions to return."`
}

type executionLogInput struct {
	ID      string `path:"id" maxLength:"36" doc:"The execution's id."`
	Stream  string `path:"stream" maxLength:"16" doc:"stdout or stderr."`
	Offset  int64  `query:"offset" minimum:"0" default:"0" doc:"The byte to begin at; next_offset of the page before."`
	Limit   int64  `query:"limit" minimum:"1" maximum:"1048576" default:"65536" doc:"The most bytes to return."`
	Attempt int    `query:"attempt" minimum:"1" doc:"One of the attempts, counted from 1; the present one when absent."`
}

func (s *server) executionRoutes() {
	register(s, operation{
		id: "list-executions", method: http.MethodGet, path: "/executions", tag: "executions", status: http.StatusOK,
		list:    true,
		summary: "List executions, newest first", description: listDescription,
		errors:   []int{http.StatusUnprocessableEntity},
		response: page[attune.Execution]{Data: []attune.Execution{exampleExecution}},
	}, s.listExecutions)
	register(s, operation{
		id: "get-execution", method: http.MethodGet, path: "/executions/{id}", tag: "executions", status: http.StatusOK,
		summary: "Show an execution", errors: []int{http.StatusNotFound}, ownTime: true,
		description: "With wait_seconds, the answer comes when the execution is over or the time is up.",
		response:    envelope[attune.Execution]{Data: exampleEnded},
	}, s.getExecution)
	register(s, operation{
		id: "cancel-execution", method: http.MethodPost, path: "/executions/{id}/cancel", tag: "executions",
		status: http.StatusAccepted, summary: "Cancel an execution",
		description: "One that waits is cancelled at once. One that has a slot is canceling until its worker has ended " +
			"it. Idempotent.",
		errors:   []int{http.StatusNotFound, http.StatusConflict},
		response: envelope[attune.Execution]{Data: exampleExecution},
	}, s.cancel)
	register(s, operation{
		id: "get-execution-log", method: http.MethodGet, path: "/executions/{id}/logs/{stream}", tag: "executions",
		status: http.StatusOK, summary: "Read what an execution printed",
		description: "Also while it runs: ask again from next_offset. Each attempt has a log of its own.",
		errors:      []int{http.StatusNotFound},
		response:    envelope[attune.LogPage]{Data: exampleLogPage},
	}, s.getExecutionLog)
}

const listDescription = "Without parameters, results and outputs; of a failure, the first 200 characters of error " +
	"and error_type. The execution itself has all of them."

func (s *server) listExecutions(ctx context.Context, in *listExecutionsInput) (*listResponse[attune.Execution], error) {
	filter, err := in.filter()
	if err != nil {
		return nil, err
	}
	filter.Allowed = allowed(ctx)
	executions, next, err := s.DB.Executions.List(ctx, filter)
	if err != nil {
		return nil, err
	}
	return respondList(executions, next), nil
}

// filter checks what huma's schemas cannot say.
func (in *listExecutionsInput) filter() (storage.ExecutionFilter, error) {
	filter := storage.ExecutionFilter{Action: in.Action, Pack: in.Pack, Cursor: in.Cursor, Limit: in.Limit}
	if err := checkRefs(in.Pack, in.Action); err != nil {
		return filter, err
	}
	for _, given := range in.Status {
		for name := range strings.SplitSeq(given, ",") {
			status := attune.Status(name)
			if !status.Valid() {
				return filter, wrongValue("status", "is not a status of executions")
			}
			filter.Statuses = append(filter.Statuses, status)
		}
	}
	if in.Since != "" {
		since, err := time.Parse(time.RFC3339, in.Since)
		if err != nil {
			return filter, wrongValue("since", "is not a time like 2026-03-01T09:30:00Z")
		}
		filter.Since = since
	}
	return filter, nil
}

func (s *server) getExecution(ctx context.Context, in *getExecutionInput) (*response[attune.Execution], error) {
	execution, err := s.executionInTime(ctx, in.ID)
	if err == nil && in.WaitSeconds > 0 && !execution.Status.Terminal() {
		s.waitForEnd(ctx, in.ID, time.Duration(in.WaitSeconds)*time.Second)
		execution, err = s.executionInTime(ctx, in.ID)
	}
	if err != nil {
		return nil, err
	}
	return respond(execution), nil
}

// waitForEnd returns when the execution is over, the time is up, or the server ends.
func (s *server) waitForEnd(ctx context.Context, id string, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(s.Ending, cancel)()
	_ = s.Queue.Wait(ctx, id) // it fails with ctx alone, and the present state is the answer then
}

// executionInTime is execution for a handler that bounds itself.
func (s *server) executionInTime(ctx context.Context, id string) (attune.Execution, error) {
	ctx, cancel := context.WithTimeout(ctx, s.AnswerTimeout)
	defer cancel()
	return s.execution(ctx, id)
}

func (s *server) cancel(ctx context.Context, in *executionInput) (*response[attune.Execution], error) {
	if _, err := s.execution(ctx, in.ID); err != nil {
		return nil, err
	}
	execution, err := s.Queue.Cancel(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return respond(execution), nil
}

func (s *server) getExecutionLog(ctx context.Context, in *executionLogInput) (*response[attune.LogPage], error) {
	execution, err := s.execution(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !attune.Stream(in.Stream).Valid() {
		return nil, notFound("stream", in.Stream)
	}
	log, err := logOf(execution, in.Attempt)
	if err != nil {
		return nil, err
	}
	if !log.ended.IsZero() {
		// The database's clock may be ahead of ours.
		ctx, cancel := context.WithTimeout(ctx, min(storeDelay, time.Until(log.ended.Add(storeDelay))))
		s.Logs.AwaitStored(ctx, log.prefix, in.Stream)
		cancel()
	}
	page, err := s.Logs.Page(ctx, log.prefix, in.Stream, in.Offset, in.Limit, log.running)
	if err != nil {
		return nil, err
	}
	return respond(page), nil
}

// storeDelay is how long a reader waits for the log of an ended attempt to reach object storage. After that, it reads
// what is there.
const storeDelay = 5 * time.Second

// attemptLog is the log of an attempt, in the bucket.
type attemptLog struct {
	prefix string
	// running: it may still grow.
	running bool
	// ended is when the attempt ended; zero while it runs, and for one that has not begun.
	ended time.Time
}

// logOf finds the log of an attempt, 0 being the present one. The prefix comes from the execution's row, never from the
// request.
func logOf(e attune.Execution, attempt int) (attemptLog, error) {
	_, name, _ := attune.SplitActionRef(e.Action)
	log := attemptLog{prefix: logs.ExecutionPrefix(e.Pack, name, e.CreatedAt, e.ID)}
	if attempt == 0 || attempt == e.Attempt {
		log.running = !e.Status.Terminal()
		if e.FinishedAt != nil && e.StartedAt != nil {
			log.ended = *e.FinishedAt
		}
		return log, nil
	}
	i := slices.IndexFunc(e.Attempts, func(a attune.Attempt) bool { return a.Attempt == attempt })
	if i < 0 {
		return attemptLog{}, notFound("attempt", strconv.Itoa(attempt))
	}
	log.prefix = logs.AttemptPrefix(log.prefix, attempt)
	if e.Attempts[i].StartedAt != nil {
		log.ended = e.Attempts[i].FinishedAt
	}
	return log, nil
}

// execution finds an execution that the caller's token may see.
func (s *server) execution(ctx context.Context, id string) (attune.Execution, error) {
	if !isID(id) {
		return attune.Execution{}, notFound("execution", id)
	}
	execution, err := s.DB.Executions.Get(ctx, id)
	if err != nil {
		return attune.Execution{}, err
	}
	if !sees(ctx, execution.Pack) {
		return attune.Execution{}, notFound("execution", id)
	}
	return execution, nil
}
