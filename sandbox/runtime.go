package sandbox

import (
	"context"
	"errors"
	"time"
)

// Runtime makes sandboxes on this host, for one owner. Its methods may be called concurrently. Every implementation
// passes the suite in sandboxtest.
type Runtime interface {
	// Create makes a sandbox and starts its process, which waits for its document on stdin. It fails where the id is in
	// use, and with ErrUnsupported where the host lacks what the Spec asks for. What a failed call leaves, Remove finds.
	Create(ctx context.Context, spec Spec) (Sandbox, error)

	// Attach finds the sandbox that an earlier process of the owner gave to an execution, and its id. The sandbox has its
	// whole document: Run goes on with the output that is not read yet, and takes no document. Timeout still counts from
	// the delivery. A sandbox that has ended is found, too.
	//
	// ErrNotStarted says that the execution was certainly given no sandbox, so that nothing of its action's code has
	// begun: the host would have a record of it. Records survive the death of a process, but not always that of the
	// kernel. So after a boot of the host, and wherever it is uncertain, the error is ErrGone: the execution may have been
	// given a sandbox, and none can go on. Later processes get ErrGone, too, until Forget.
	//
	// Before its first Reconcile, a process calls Attach for all executions that earlier processes had begun and whose
	// outcomes are not stored yet. That Reconcile forgets the others.
	Attach(ctx context.Context, execution string) (Sandbox, string, error)

	// Forget releases an execution whose outcome is stored elsewhere, and its Exit. Until then the host keeps a record of
	// the execution, whatever becomes of its sandbox; after it, the execution is as if it had never been.
	Forget(execution string)

	// Reconcile removes the owner's orphans: sandboxes that this process neither made nor attached. After the first call,
	// an execution without a record is one that has not started.
	Reconcile(ctx context.Context) error

	// List returns the ids of the owner's sandboxes on this host. Orphans, sandboxes that are being removed, and those
	// whose execution is not forgotten are among them.
	List(ctx context.Context) ([]string, error)

	// Remove kills a sandbox and removes all that belongs to it. It is idempotent: it succeeds where there is none.
	Remove(ctx context.Context, id string) error
}

// Sandbox is a process that waits for the one document that it will ever get.
type Sandbox interface {
	// Run delivers Input.Stdin and copies the output, with what was printed before, until both streams end. When it
	// returns an Exit, no process of the sandbox is left; the rest of the sandbox is removed in the background.
	//
	// When ctx is cancelled, the sandbox gets SIGTERM and, after Input.Grace, SIGKILL. Run still collects the output, and
	// returns an Exit with Stopped set. Where ctx is cancelled before the document is delivered, it never is, and Code is
	// StoppedCode.
	//
	// Run fails when the Input is invalid, which changes nothing, when the sandbox was used before, and when its end
	// cannot be learned. Then the Exit is meaningless.
	Run(ctx context.Context, in Input) (Exit, error)

	// Waiting is what an unused sandbox has taken so far. It fails when the process has ended.
	Waiting() (Waiting, error)

	// Remove ends and removes an unused sandbox. After Run it does nothing.
	Remove(ctx context.Context) error
}

// Waiting is what a sandbox takes that waits for its document.
type Waiting struct {
	// MemoryBytes is what it takes now.
	MemoryBytes int64
	// CPU is the processor time that it has taken since it was made.
	CPU time.Duration
}

// ErrUnsupported is the error of a Spec that asks for what this host lacks.
var ErrUnsupported = errors.New("not supported on this host")

// Errors of Attach.
var (
	// ErrNotStarted: nothing of the execution has begun.
	ErrNotStarted = errors.New("the execution was given no sandbox")
	// ErrGone: the execution may have begun, and no sandbox of it can go on.
	ErrGone = errors.New("the execution has no sandbox that could go on")
)
