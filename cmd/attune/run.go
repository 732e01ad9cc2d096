package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"attune"
	"attune/cmd/attune/internal/client"
)

// runCommand submits an execution and, with --wait or --follow, stays until it ends.
type runCommand struct {
	Action     string   `arg:"" name:"pack.action" help:"Action to run."`
	Parameters []string `name:"parameter" short:"p" sep:"none" placeholder:"NAME=VALUE" help:"Parameter: name=value is a string, name:=json any JSON, name:=@file JSON from a file. Repeatable."`
	Key        string   `name:"idempotency-key" placeholder:"KEY" help:"For 24 hours, the same key and parameters mean the same execution, and nothing is queued twice."`
	Wait       bool     `short:"w" xor:"wait" help:"Wait until the execution ends, and print the result."`
	Follow     bool     `short:"f" xor:"wait" help:"Wait, and print the output as it arrives."`
	Raw        bool     `help:"With --follow: print control characters as they are, also on a terminal."`
}

// Help is the long text of `attune run --help`.
func (*runCommand) Help() string {
	return `The execution joins the action's queue. Without --wait or --follow, the command prints its id and ends.

Exit status with --wait or --follow: 0 completed, 1 failed, 3 timeout, 4 cancelled, 5 anything else, 130 interrupted by
Ctrl-C (the execution goes on). Without them: 0 queued, 5 refused. Always 2 for a wrong command line.

--json prints the execution instead of its result. With --follow, the output then goes to stderr.

Examples:

    attune run weather.report -p observations="$(cat observations.xml)" -p frost_below:=-5 --wait
    attune run tickets.normalize -p ticket:=@ticket.json --follow
    id=$(attune run inventory.check -p inventory="$(cat inventory.yaml)")
    attune run weather.report -p observations="$(cat observations.xml)" --idempotency-key "report-$(date +%F)" --wait
`
}

// Run does what the type says.
func (r *runCommand) Run(ctx context.Context, s *session) error {
	parameters, err := parseParameters(r.Parameters)
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.SendOnce(ctx, r.Key, http.MethodPost, client.Path("executions"), nil, map[string]any{
		"action": r.Action, "parameters": parameters,
	})
	if err != nil {
		return withParameterHint(err, r.Parameters)
	}
	var execution attune.Execution
	if err := answer.Decode(&execution); err != nil {
		return err
	}
	if !r.Wait && !r.Follow {
		return s.printQueued(answer.Data, execution)
	}
	return r.stay(ctx, s, c, execution.ID)
}

func (s *session) printQueued(document json.RawMessage, execution attune.Execution) error {
	switch {
	case s.JSON:
		return s.printJSON(document)
	case !s.stdoutTerminal:
		writef(s.stdout, "%s\n", execution.ID)
	default:
		position := ""
		if execution.Position != nil {
			position = fmt.Sprintf(", position %d", *execution.Position)
		}
		writef(s.stdout, "%s %s%s\nfollow it with: attune logs -f %s\n",
			s.paint(bold, execution.ID), execution.Status, position, execution.ID)
	}
	return nil
}

// stay waits for the end of the execution and reports it by output and exit status.
func (r *runCommand) stay(ctx context.Context, s *session, c *client.Client, id string) error {
	w := &waiter{session: s, client: c, id: id, raw: r.Raw}
	if r.Follow {
		w.follow(attune.Stdout, attune.Stderr)
		if s.JSON { // Then stdout is for the document alone.
			w.streams[0].out, w.streams[0].visible = s.stderr, w.streams[1].visible
		}
	} else {
		w.showStatus = s.stderrTerminal
	}
	execution, document, err := w.wait(ctx)
	if errors.Is(err, context.Canceled) {
		s.notef("interrupted; execution %s goes on: `attune logs -f %s` follows it, `attune execution cancel %s` ends it",
			id, id, id)
		return exitStatus(exitInterrupted)
	}
	if err != nil {
		s.notef("execution %s goes on; this command no longer watches it", id)
		return err
	}
	if len(w.streams) > 0 && w.streams[0].midLine && s.stdoutTerminal {
		writef(s.stdout, "\n")
	}
	if s.JSON {
		err = s.printJSON(document)
	} else if execution.Status == attune.StatusCompleted && execution.Result != nil {
		err = s.printJSON(execution.Result)
	}
	if err != nil {
		return err
	}
	return s.reportEnd(execution)
}

// reportEnd explains an end other than completed, and turns every end into an exit status.
func (s *session) reportEnd(execution attune.Execution) error {
	if execution.Status == attune.StatusCompleted {
		if execution.Result == nil && s.stderrTerminal {
			s.notef("%s completed without a result, or with one above %d MiB, which is result.json in the log bucket",
				execution.Action, attune.MaxResultBytes>>20)
		}
		return nil
	}
	s.notef("%s %s", execution.Action, describeEnd(execution))
	writef(s.stderr, "  hint: %s\n", hintForEnd(execution))
	switch execution.Status {
	case attune.StatusFailed:
		return exitStatus(exitFailed)
	case attune.StatusTimeout:
		return exitStatus(exitTimeout)
	case attune.StatusCancelled:
		return exitStatus(exitCancelled)
	default:
		return exitStatus(exitOther)
	}
}

// describeEnd is the end in a sentence: failed (exception): ValueError: no such city.
func describeEnd(execution attune.Execution) string {
	text := string(execution.Status)
	switch {
	case execution.Reason == attune.ReasonExitCode && execution.ExitCode != nil:
		text += fmt.Sprintf(" (exit status %d)", *execution.ExitCode)
	case execution.Reason != "":
		text += " (" + string(execution.Reason) + ")"
	}
	if failure := execution.Failure; failure != nil {
		text += ": " + strings.TrimPrefix(failure.ErrorType+": "+failure.Error, ": ")
	}
	return text
}

// hintForEnd is what to do about an end other than completed.
func hintForEnd(execution attune.Execution) string {
	wrote := fmt.Sprintf("`attune logs %s` prints what it wrote", execution.ID)
	switch execution.Reason {
	case attune.ReasonOutOfMemory:
		return wrote + "; if it needs more memory, raise resources.memory in the action's YAML file"
	case attune.ReasonPids:
		return wrote + "; if it needs more processes, raise resources.pids in the action's YAML file"
	case attune.ReasonDisk:
		return wrote + "; if it needs more room in /tmp, raise resources.tmp in the action's YAML file"
	case attune.ReasonDeadline:
		return wrote + "; if it needs longer, raise timeout in the action's YAML file"
	case attune.ReasonQueueTimeout:
		return fmt.Sprintf("it waited longer than the policies allow; `attune queue show %s` shows the queue",
			execution.Action)
	case attune.ReasonSuperseded:
		return "a newer execution took its place, as the action's policy says (method cancel_oldest)"
	case attune.ReasonSecretMissing:
		return "a secret was deleted while it waited: `attune secret set` it, and run the action again"
	case attune.ReasonImageMissing:
		return "the worker does not have the pack's image: install the pack again"
	case attune.ReasonUnsupported:
		return "the worker lacks the runtime or the network that the action needs; `attune doctor` on its host says why"
	case attune.ReasonPackRemoved:
		return "the pack was removed while it waited: install it, and run the action again"
	case attune.ReasonSandboxFailed:
		return "no sandbox could be started; the log of the worker says why"
	case attune.ReasonWorkerLost, attune.ReasonWorkerStopped:
		return wrote + "; it may have done a part of its work"
	default:
		return wrote
	}
}

// withParameterHint mentions := when a parameter given as a string was refused.
func withParameterHint(err error, flags []string) error {
	told, ok := errors.AsType[*attune.Error](err)
	if !ok || told.Code != attune.CodeInvalid {
		return err
	}
	aboutParameter := slices.ContainsFunc(told.Problems, func(p attune.Problem) bool {
		return strings.HasPrefix(p.Field, "parameters")
	})
	asString := slices.ContainsFunc(flags, func(flag string) bool {
		name, _, _ := strings.Cut(flag, "=")
		return !strings.HasSuffix(name, ":")
	})
	if !aboutParameter || !asString {
		return err
	}
	return &hintedError{error: err,
		hint: "name=value passes a string; write name:=json for numbers, booleans, lists and objects"}
}

// elapsed is how long an execution has been running, or waiting if it does not run yet.
func elapsed(execution attune.Execution) time.Duration {
	since := execution.CreatedAt
	if execution.StartedAt != nil {
		since = *execution.StartedAt
	}
	return max(0, time.Since(since)).Truncate(time.Second)
}
