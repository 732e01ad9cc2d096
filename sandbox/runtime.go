package sandbox

import (
	"context"
	"errors"
	"io"
	"time"

	"attune"
)

// Runtime makes sandboxes on this host. Its methods may be called at the same time; every implementation passes the suite
// in sandboxtest.
type Runtime interface {
	// Create makes a sandbox and starts its process, which waits for its document on stdin. An id that is in use is an
	// error. ErrUnsupported is what this host has not got. After an error nothing is left that Remove would not find.
	Create(ctx context.Context, spec Spec) (Sandbox, error)

	// Attach finds the sandbox that an earlier process of the owner gave to an execution, with its whole document, and its
	// id. Its Run goes on with what is not read yet, and takes no document; Timeout counts from the delivery, as before.
	// A sandbox that has ended is found, too.
	//
	// ErrNotStarted says that the execution was certainly given no sandbox, so that nothing of its action's code has begun:
	// the host would have a record of it. Records survive the death of a process, and not always that of the kernel; after
	// a boot of the host, and where there is no telling, the error is ErrGone: the execution may have been given a sandbox,
	// and there is none that can go on. It is ErrGone again for later processes, until Forget.
	//
	// Attach is called for all executions that earlier processes had begun and whose outcome is not safe, before the first
	// Reconcile: that forgets the others.
	Attach(ctx context.Context, execution string) (Sandbox, string, error)

	// Forget lets go of an execution, the outcome of which is known to be safe elsewhere, and of its Exit. Until then the
	// host keeps a record of it, whatever becomes of its sandbox; afterwards the execution is as if it had never been.
	Forget(execution string)

	// Reconcile removes every sandbox of the owner that this process neither made nor attached: an earlier one left it. From
	// the first time on, an execution without a record is one that has not started.
	Reconcile(ctx context.Context) error

	// List returns the ids of the sandboxes on this host that belong to the same owner, also those that an earlier
	// process of it left behind, those whose rest is about to be removed, and those whose Exit is not forgotten.
	List(ctx context.Context) ([]string, error)

	// Remove kills and removes a sandbox and all that belongs to it. It is idempotent, and nil when there is none.
	Remove(ctx context.Context, id string) error
}

// ErrUnsupported is the error of a specification that asks for what this host has not got.
var ErrUnsupported = errors.New("not supported on this host")

// Errors of Attach.
var (
	// ErrNotStarted: nothing of the execution has begun.
	ErrNotStarted = errors.New("the execution was given no sandbox")
	// ErrGone: the execution may have begun, and no sandbox of it can go on.
	ErrGone = errors.New("the execution has no sandbox that could go on")
)

// Sandbox is a process that waits for the one document it will ever get.
type Sandbox interface {
	// Run feeds the sandbox Input.Stdin and copies its output, also what it printed before, until both streams end. When
	// it returns an Exit, no process of the sandbox is left; what else belongs to it goes without the caller.
	//
	// When ctx is cancelled, the sandbox gets SIGTERM, Input.Grace, then SIGKILL for all of it; Run still collects the
	// output and returns an Exit with Stopped set. A ctx that is cancelled early enough keeps the document from being
	// delivered, and Code is then StoppedCode.
	//
	// The error is non-nil when the Input is refused, which changes nothing, when the sandbox was used before, or when its
	// end could not be learned; then Exit is meaningless.
	Run(ctx context.Context, in Input) (Exit, error)

	// Memory is what a sandbox that nobody used takes, in bytes. The error is non-nil when its process has ended.
	Memory() (int64, error)

	// Remove ends and removes a sandbox that nobody used. After Run it does nothing.
	Remove(ctx context.Context) error
}

// Spec is a sandbox, whatever execution it will serve.
type Spec struct {
	// ID names the sandbox: letters, digits and dashes.
	ID string
	// ImageDigest is the manifest digest of an image on this host.
	ImageDigest string
	// Args is the command; nothing secret may be in it.
	Args []string
	// Env is added to the environment of the command; nothing secret may be in it.
	Env     map[string]string
	Network attune.Network
	// Runtime makes the sandbox; empty takes the host's default.
	Runtime   attune.Runtime
	Resources attune.Resources
	// Ahead: nobody waits for it yet. Until Run it has the processor only when no other sandbox wants it.
	Ahead bool
}

// Input is one execution's use of a sandbox.
type Input struct {
	// Execution names the attempt, in letters, digits and dashes. Until Forget, another Run with the same name fails.
	Execution string
	// Stdin is the document of contract 2. It is written once and then closed; it is never stored.
	Stdin []byte
	// Stdout and Stderr get what the process writes. They are called from one goroutine each, and a slow Write slows
	// the process down. An error ends the copy but not the reading: the rest is drained and dropped.
	Stdout, Stderr io.Writer
	// Timeout counts from when the document begins to be delivered.
	Timeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL.
	Grace time.Duration
	// Started, where set, is called once, right before the document is delivered.
	Started func()
}

// Exit is how a sandbox ended.
type Exit struct {
	// Code is the process's exit status, 128 + the signal where one ended it.
	Code int
	// TimedOut: Timeout passed before the process ended. Stopped: ctx was cancelled before it ended.
	TimedOut, Stopped bool
	// OutOfMemory: the memory limit was reached and the kernel killed for it.
	OutOfMemory bool
	// OutOfPids: the pids limit was reached and the kernel refused another process.
	OutOfPids bool
	// Usage is what it took, nil when no process was started or the host could not tell.
	Usage *attune.Usage
	// Result is what the action left in $ATTUNE_RESULT, nil when it left nothing. One byte more than MaxResultFileBytes
	// says that there was more.
	Result []byte
	// Failure is what the runner left in $ATTUNE_FAILURE: the JSON of an attune.Failure, nil when there was none.
	Failure []byte
	// Outputs are the files that the action left in $ATTUNE_OUTPUT.
	Outputs []Output
	// StartedAt is when the document began to be delivered.
	StartedAt  time.Time
	FinishedAt time.Time
}

// StoppedCode is 128 + SIGTERM: the status of a process that ends when it is asked to.
const StoppedCode = 143

// MaxResultFileBytes bounds what the host reads of a result.
const MaxResultFileBytes = 16 << 20

// Paths and variables inside every sandbox. The image builder lays the files there, the runners rely on them.
const (
	// PackDir is the working directory: the pack's files, read-only.
	PackDir = "/opt/attune/pack"
	// RunnerDir holds run.py, run.mjs and run.sh.
	RunnerDir = "/opt/attune/runner"
	// ResultPath, FailurePath and CollectedPath are the files that the host reads when the process has ended.
	ResultPath    = "/run/attune/result"
	FailurePath   = "/run/attune/failure"
	CollectedPath = "/run/attune/collected"
	// OutputDir is where an action leaves files; the runner puts them into CollectedPath when the action has ended.
	OutputDir = "/tmp/output"
)
