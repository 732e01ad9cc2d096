package sandbox

import (
	"errors"
	"fmt"
	"io"
	"time"

	"attune"
)

// Input is what one execution gives a sandbox.
type Input struct {
	// Execution names the attempt: letters, digits and dashes. Until Forget, another Run with the same name fails.
	Execution string
	// Stdin is the document of contract 2. It is written once, followed by EOF, and never stored.
	Stdin []byte
	// Stdout and Stderr take what the process writes, each from one goroutine. A slow Write slows the process down. After
	// an error of Write the output is still read, and dropped.
	Stdout, Stderr io.Writer
	// Timeout counts from the delivery of the document.
	Timeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL.
	Grace time.Duration
	// Started, if set, is called once, right before the document is delivered.
	Started func()
}

// Validate returns what is wrong with the input. Every Sandbox refuses an invalid one.
func (in *Input) Validate() error {
	switch {
	case !validName.MatchString(in.Execution):
		return fmt.Errorf("execution name %q is not of letters, digits and dashes", in.Execution)
	case in.Timeout <= 0:
		return errors.New("no timeout")
	case in.Grace < 0:
		return errors.New("negative grace")
	}
	return nil
}

// Exit is how a sandbox ended.
type Exit struct {
	// Code is the exit status of the process, or 128 + the signal that ended it.
	Code int
	// TimedOut: Timeout passed before the process ended. Stopped: ctx was cancelled before it ended.
	TimedOut, Stopped bool
	// OutOfMemory: the kernel killed because the memory limit was reached.
	OutOfMemory bool
	// OutOfPids: the kernel refused another process because the pids limit was reached.
	OutOfPids bool
	// Usage is what the sandbox took. It is nil when no process was started, and when the host does not know.
	Usage *attune.Usage
	// Result is the content of $ATTUNE_RESULT, nil when that is empty or gone. One byte more than MaxResultFileBytes says
	// that it was larger.
	Result []byte
	// Failure is the content of $ATTUNE_FAILURE: the JSON of an attune.Failure, nil when that is empty or gone.
	Failure []byte
	// Outputs are the files that the action left in $ATTUNE_OUTPUT, NotKept those of them that cannot be kept.
	Outputs []Output
	NotKept []attune.NotKept
	// StartedAt is when the delivery of the document began.
	StartedAt  time.Time
	FinishedAt time.Time
}

// StoppedCode is 128 + SIGTERM: the status of a process that ends when it is asked to.
const StoppedCode = 143

// What the host reads of a result and of a failure at most. The runners write far less about a failure.
const (
	MaxResultFileBytes  = 16 << 20
	MaxFailureFileBytes = 1 << 20
)
