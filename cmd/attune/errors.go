package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/alecthomas/kong"

	"attune"
	"attune/cmd/attune/internal/client"
)

// Exit statuses, the same for every command.
const (
	exitDone      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitTimeout   = 3
	exitCancelled = 4
	// exitOther: the service refused, could not be reached, or the outcome is none of the above.
	exitOther = 5
	// exitInterrupted is what a shell makes of SIGINT.
	exitInterrupted = 130
)

// connectionHint says how a client command finds its service.
const connectionHint = "start one with `attune up` and `source DIR/connections.env`, or set ATTUNE_URL and ATTUNE_TOKEN"

// exitStatus ends a command that has already reported its outcome.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// userError is an error that the client itself finds.
type userError struct {
	message, hint string
	status        int
}

func (e *userError) Error() string { return e.message }

// hintedError adds a hint to an error of the service.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

// usagef makes the error of a command that was called wrongly.
func usagef(format string, args ...any) error {
	return &userError{message: fmt.Sprintf(format, args...), status: exitUsage}
}

// parseFailure adds the command to read on with to an error of the argument parser.
func parseFailure(err error) error {
	hint := "attune --help"
	if failed, ok := errors.AsType[*kong.ParseError](err); ok && failed.Context != nil {
		if command := failed.Context.Selected(); command != nil {
			hint = command.FullPath() + " --help"
		}
	}
	return &userError{message: err.Error(), hint: "see `" + hint + "`", status: exitUsage}
}

// report prints what went wrong, if anything did, and returns the exit status. It prints a line that says what
// happened, a line for each problem, and a hint what to do.
func (s *session) report(err error) int {
	if err == nil {
		return exitDone
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	message, hint, status := err.Error(), "", exitOther
	var problems []attune.Problem
	if own, ok := errors.AsType[*userError](err); ok {
		hint, status = own.hint, own.status
	} else if told, ok := errors.AsType[*attune.Error](err); ok {
		message, problems, hint = told.Message, told.Problems, hintFor(told)
	}
	if hinted, ok := errors.AsType[*hintedError](err); ok {
		hint = hinted.hint
	}
	s.notef("%s", message)
	for _, problem := range problems {
		writef(s.stderr, "  %s\n", printable(problem.String()))
	}
	if hint != "" {
		writef(s.stderr, "  hint: %s\n", hint)
	}
	return status
}

// hintFor says what to do about an error of the service that does not say so itself.
func hintFor(err *attune.Error) string {
	switch {
	case errors.Is(err.Cause, client.ErrUnreachable):
		return "is the address right and the service running? " + connectionHint
	case err.RetryAfter > 0:
		return fmt.Sprintf("try again in %v", err.RetryAfter)
	case err.Code == attune.CodeUnauthenticated:
		return "set ATTUNE_TOKEN or --token-file; `source DIR/connections.env` sets the token of `attune up`"
	case err.Code == attune.CodeForbidden:
		return "use a token that may do this: set ATTUNE_TOKEN or --token-file"
	default:
		return ""
	}
}
