package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"attune"
	"attune/cmd/attune/internal/client"
)

// waiter watches one execution to its end, with as many of its streams as are wanted.
type waiter struct {
	session *session
	client  *client.Client
	id      string
	// showStatus keeps a line on the terminal with the execution's status and position.
	showStatus bool
	// raw keeps control characters of the streams, also on a terminal.
	raw     bool
	streams []*tail

	execution attune.Execution
	document  json.RawMessage
}

// follow makes the waiter print these streams: stdout to stdout, stderr to stderr.
func (w *waiter) follow(streams ...attune.Stream) {
	for _, name := range streams {
		out, terminal := w.session.stdout, w.session.stdoutTerminal
		if name == attune.Stderr {
			out, terminal = w.session.stderr, w.session.stderrTerminal
		}
		source := logSource{path: client.Path("executions", w.id, "logs", string(name))}
		w.streams = append(w.streams, &tail{logSource: source, out: out, visible: terminal && !w.raw})
	}
}

// wait returns the execution in its terminal state, once all that it wrote has been printed.
func (w *waiter) wait(ctx context.Context) (attune.Execution, json.RawMessage, error) {
	err := w.session.poll(ctx, func() (moved, done bool, err error) { return w.look(ctx) })
	if w.showStatus {
		writef(w.session.stderr, "%s", clearLine)
	}
	return w.execution, w.document, err
}

// look asks for the state first and reads the streams after: what a finished execution wrote is all there.
func (w *waiter) look(ctx context.Context) (moved, done bool, err error) {
	before := w.execution.Status
	answer, err := w.client.Get(ctx, client.Path("executions", w.id), w.patience())
	if err != nil {
		return false, false, err
	}
	var execution attune.Execution
	if err := answer.Decode(&execution); err != nil {
		return false, false, err
	}
	for _, stream := range w.streams {
		printed, err := stream.catchUp(ctx, w.client)
		if err != nil {
			return false, false, err
		}
		moved = moved || printed
	}
	w.execution, w.document = execution, answer.Data
	if w.showStatus {
		writef(w.session.stderr, "%s%s", clearLine, describeProgress(execution))
	}
	return moved || execution.Status != before, execution.Status.Terminal(), nil
}

// patience asks the service to answer only at the end, unless there is something to show meanwhile.
func (w *waiter) patience() url.Values {
	switch {
	case w.document == nil || len(w.streams) > 0:
		return nil
	case w.showStatus:
		return url.Values{"wait_seconds": {"1"}}
	default:
		return url.Values{"wait_seconds": {"20"}}
	}
}

// clearLine goes back to the start of a terminal's line and empties it.
const clearLine = "\r\x1b[K"

// describeProgress is the status line of a wait.
func describeProgress(execution attune.Execution) string {
	if execution.Status == attune.StatusQueued && execution.Position != nil {
		return fmt.Sprintf("%s %s, position %d (%v)",
			execution.Action, execution.Status, *execution.Position, elapsed(execution))
	}
	return fmt.Sprintf("%s %s (%v)", execution.Action, execution.Status, elapsed(execution))
}
