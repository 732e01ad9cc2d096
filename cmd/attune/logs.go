package main

import (
	"context"

	"attune"
	"attune/cmd/attune/internal/client"
)

// logsCommand prints the streams of an execution.
type logsCommand struct {
	ID      string `arg:"" name:"id" help:"Execution whose output to print."`
	Follow  bool   `short:"f" help:"Print the output as it arrives, until the execution ends."`
	Stream  string `enum:"both,stdout,stderr" default:"both" help:"Stream to print: ${enum}."`
	Raw     bool   `help:"Print control characters as they are, also on a terminal."`
	Attempt int    `placeholder:"N" help:"Attempt, counted from 1; without it, the last one."`
}

// Help is the long text of `attune logs --help`.
func (*logsCommand) Help() string {
	return `The action's stdout is printed to stdout, its stderr to stderr.

A terminal gets control characters as signs (ESC as ␛), so colors are not shown: --raw shows them, and lets the action
write to your terminal what it wants. A pipe or a file gets the bytes as they are.

--json prints each page of the log as the API returns it. It needs one --stream, and does not go with --follow.

Examples:

    attune logs 0197c9a2-6d1f-7c3e-9a54-0d2f5b1c7e88
    attune logs --attempt 1 0197c9a2-6d1f-7c3e-9a54-0d2f5b1c7e88
    attune logs -f --stream stdout 0197c9a2-6d1f-7c3e-9a54-0d2f5b1c7e88 | grep error
`
}

// Run does what the type says.
func (l *logsCommand) Run(ctx context.Context, s *session) error {
	if s.JSON && (l.Stream == "both" || l.Follow) {
		return usagef("--json needs --stream stdout or --stream stderr, and does not go with --follow")
	}
	if l.Attempt < 0 || l.Attempt > 0 && l.Follow {
		return usagef("--attempt counts from 1, and does not go with --follow")
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	if s.JSON {
		return s.printLogPages(ctx, c, logSource{client.Path("executions", l.ID, "logs", l.Stream), l.Attempt})
	}
	w := &waiter{session: s, client: c, id: l.ID, raw: l.Raw}
	if l.Stream == "both" {
		w.follow(attune.Stdout, attune.Stderr)
	} else {
		w.follow(attune.Stream(l.Stream))
	}
	if l.Follow {
		_, _, err := w.wait(ctx)
		return err
	}
	for _, stream := range w.streams {
		stream.attempt = l.Attempt
		if _, err := stream.catchUp(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
