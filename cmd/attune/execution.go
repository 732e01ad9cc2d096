package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"attune"
	"attune/cmd/attune/internal/client"
	"attune/internal/size"
)

type executionCommands struct {
	List   executionListCommand   `cmd:"" help:"List executions, newest first."`
	Show   executionShowCommand   `cmd:"" help:"Describe an execution."`
	Why    executionWhyCommand    `cmd:"" help:"Explain why an execution waits, and estimate when it starts."`
	Cancel executionCancelCommand `cmd:"" help:"End an execution that waits or runs."`
}

type executionListCommand struct {
	Action string        `placeholder:"PACK.ACTION" help:"Only executions of this action."`
	Pack   string        `help:"Only executions of this pack's actions."`
	Status attune.Status `enum:",queued,scheduled,running,canceling,completed,failed,timeout,cancelled,abandoned" default:"" help:"Only executions in this state: queued, scheduled, running, canceling, completed, failed, timeout, cancelled or abandoned."`
	Since  moment        `placeholder:"TIME" help:"Only executions submitted since: 90s, 24h or 7d ago, a date (2026-03-01, from midnight here), or 2026-03-01T09:30:00Z."`
	Limit  int           `default:"20" help:"The most executions to list; 0 lists all."`
}

// Help is the long text of `attune execution list --help`.
func (*executionListCommand) Help() string {
	return `Examples:

    attune execution list --pack weather --status failed --since 7d
    attune execution list --limit 0 --json | jq -r '.[] | select(.reason == "oom") | .id'
`
}

// Run does what the type says.
func (l *executionListCommand) Run(ctx context.Context, s *session) error {
	if l.Limit < 0 {
		return usagef("--limit is 0 or more")
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	executions, raw, err := fetchList[attune.Execution](ctx, c, client.Path("executions"), l.query(), l.Limit)
	if err != nil {
		return err
	}
	if s.JSON {
		return s.printJSONList(raw)
	}
	t := table{header: []string{"ID", "ACTION", "STATUS", "REASON", "CREATED", "TOOK"}}
	for _, e := range executions {
		t.add(e.ID, e.Action, string(e.Status), orDash(string(e.Reason)), s.when(&e.CreatedAt), orDash(took(e)))
	}
	s.printTable(t)
	return nil
}

func (l *executionListCommand) query() url.Values {
	query := url.Values{}
	for name, value := range map[string]string{"action": l.Action, "pack": l.Pack, "status": string(l.Status)} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if since := time.Time(l.Since); !since.IsZero() {
		query.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	return query
}

type executionShowCommand struct {
	ID string `arg:"" name:"id" help:"Execution to describe."`
}

// Run does what the command's help says.
func (e *executionShowCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.Get(ctx, client.Path("executions", e.ID), nil)
	if err != nil || s.JSON {
		return orPrint(err, s, answer)
	}
	var execution attune.Execution
	if err := answer.Decode(&execution); err != nil {
		return err
	}
	s.printExecution(execution)
	return nil
}

func (s *session) printExecution(e attune.Execution) {
	var failure attune.Failure
	if e.Failure != nil {
		failure = *e.Failure
	}
	fields := []field{
		{"execution", e.ID}, {"action", e.Action}, {"key", e.Key}, {"pack version", e.PackVersion}, {"image", e.ImageDigest},
		{"status", string(e.Status)}, {"reason", string(e.Reason)}, {"position", number(e.Position)},
		{"exit status", number(e.ExitCode)},
		{"attempt", strconv.Itoa(e.Attempt)}, {"retry at", s.when(e.RetryAt)}, {"worker", e.Worker},
		{"created", s.when(&e.CreatedAt)}, {"started", s.when(e.StartedAt)}, {"finished", s.when(e.FinishedAt)},
		{"took", took(e)}, {"parameters", compact(e.Parameters)}, {"result", compact(e.Result)},
		{"error type", failure.ErrorType}, {"error", failure.Error},
	}
	fields = append(fields, describeUsage(e)...)
	for _, a := range e.Attempts {
		fields = append(fields, field{"attempt " + strconv.Itoa(a.Attempt), describeAttempt(a)})
	}
	s.printFields(fields)
}

// describeUsage is what an execution used and left, as fields of a description.
func describeUsage(e attune.Execution) []field {
	var fields []field
	if u := e.Usage; u != nil {
		fields = append(fields, field{"cpu time", fmt.Sprintf("%.3fs", u.CPUSeconds)},
			field{"throttled", fmt.Sprintf("%.3fs", u.ThrottledSeconds)},
			field{"peak memory", size.About(u.PeakMemoryBytes)}, field{"isolation", u.Isolation})
	}
	if n := len(e.Outputs); n > 0 {
		fields = append(fields, field{"output files", strconv.Itoa(n)})
	}
	return fields
}

// describeAttempt is how an earlier attempt ended: failed (exit status 7) on host-1 after 1.500s.
func describeAttempt(a attune.Attempt) string {
	end := attune.Execution{Status: a.Status, Reason: a.Reason, ExitCode: a.ExitCode, Failure: a.Failure}
	text := describeEnd(end) + " on " + a.Worker
	if ran := took(attune.Execution{StartedAt: a.StartedAt, FinishedAt: &a.FinishedAt}); ran != "" {
		text += " after " + ran
	}
	return text
}

type executionCancelCommand struct {
	ID string `arg:"" name:"id" help:"Execution to end."`
}

// Run does what the command's help says.
func (e *executionCancelCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.Send(ctx, http.MethodPost, client.Path("executions", e.ID, "cancel"), nil, nil)
	if err != nil || s.JSON {
		return orPrint(err, s, answer)
	}
	var execution attune.Execution
	if err := answer.Decode(&execution); err != nil {
		return err
	}
	writef(s.stdout, "%s %s\n", execution.ID, s.paintStatus(string(execution.Status)))
	return nil
}

// took is how long the action ran; empty when it has not ended or never started.
func took(e attune.Execution) string {
	if e.StartedAt == nil || e.FinishedAt == nil {
		return ""
	}
	return fmt.Sprintf("%.3fs", e.FinishedAt.Sub(*e.StartedAt).Seconds())
}

// compact puts a JSON document on one line.
func compact(document json.RawMessage) string {
	var line bytes.Buffer
	if len(document) == 0 || json.Compact(&line, document) != nil {
		return ""
	}
	return line.String()
}
