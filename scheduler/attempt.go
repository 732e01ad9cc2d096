package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"attune"
)

// Executor takes what a worker has been given from its claim to its outcome. Package executor has the one that runs
// sandboxes.
type Executor interface {
	// Recover settles what an earlier life of the worker held, and returns one Recovered for each claim. When it returns
	// without an error, nothing of that life runs any more but the attempts that it returns. It is called once, before
	// everything else.
	Recover(ctx context.Context, held []Claim) ([]Recovered, error)

	// Maintain looks after what attempts leave behind until ctx ends. It is called once, when the outcomes that Recover
	// returned are recorded.
	Maintain(ctx context.Context)

	// Ready reports whether the host can take more. While it cannot, executions wait for a worker that can.
	Ready() bool

	// Prepare gathers what an attempt needs before its code starts; it holds nothing that would have to be released. It
	// waits out an outage; the error is non-nil only when ctx has ended. What is missing for good shows in the outcome of
	// Run.
	Prepare(ctx context.Context, c Claim) (Attempt, error)
}

// Attempt is one try of an execution: prepared, or taken up again by Recover.
type Attempt interface {
	// Run takes the attempt to its end. When it returns an outcome, nothing of the attempt runs any more, and its log and
	// result are safe on this host. ctx ends with ErrCancelled or ErrStopping as its cause when the attempt is to be
	// stopped. An error says that the sandbox is not known to be gone, so that the claim has to keep its slot.
	Run(ctx context.Context) (Outcome, error)

	// Close is called after Run, when the outcome is recorded and the slot is free. It stores the log. What it cannot do
	// in time, and what a crash keeps it from doing, Maintain does.
	Close(ctx context.Context)
}

// Recovered is what became of a claim of an earlier life. With neither Attempt nor Outcome, the execution has
// certainly not begun, and goes back to its position in the queue.
type Recovered struct {
	Claim Claim
	// Attempt goes on where it was.
	Attempt Attempt
	// Outcome is what is known of an attempt that cannot go on.
	Outcome *Outcome
}

// Why the context of a running attempt ends.
var (
	ErrCancelled = errors.New("cancellation was asked for")
	ErrStopping  = errors.New("the worker is stopping")
)

// Outcome is how an attempt ends.
type Outcome struct {
	Status   attune.Status
	Reason   attune.Reason
	ExitCode *int
	Result   json.RawMessage
	Failure  *attune.Failure
	Usage    *attune.Usage
	Outputs  []attune.OutputFile
	// NotBegun: there was no sandbox, so no code of the action began.
	NotBegun bool
	// RetryAfter is the pause before the next attempt; nil when there is to be none. See RetryAfter.
	RetryAfter *time.Duration
}
