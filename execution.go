package attune

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Status is the state of an execution; docs/state_machine.md draws the machine, docs/cli.md explains it to users.
type Status string

const (
	// StatusQueued waits in its queue.
	StatusQueued Status = "queued"
	// StatusScheduled has a slot; its worker is starting it, or has just started it.
	StatusScheduled Status = "scheduled"
	// StatusRunning has a slot, and its start is recorded.
	StatusRunning Status = "running"
	// StatusCanceling is to be stopped; it keeps its slot until its worker has ended it.
	StatusCanceling Status = "canceling"
	// StatusCompleted ended with exit status 0.
	StatusCompleted Status = "completed"
	// StatusFailed ended by itself, without success.
	StatusFailed Status = "failed"
	// StatusTimeout was stopped at its deadline, or waited longer than allowed.
	StatusTimeout Status = "timeout"
	// StatusCancelled was stopped on request.
	StatusCancelled Status = "cancelled"
	// StatusAbandoned may have run; its outcome cannot be known.
	StatusAbandoned Status = "abandoned"
)

// Statuses lists every state, in the usual order.
func Statuses() []Status {
	return []Status{
		StatusQueued, StatusScheduled, StatusRunning, StatusCanceling, StatusCompleted,
		StatusFailed, StatusTimeout, StatusCancelled, StatusAbandoned,
	}
}

// Terminal reports whether the state is final.
func (s Status) Terminal() bool {
	switch s {
	case StatusCompleted, StatusFailed, StatusTimeout, StatusCancelled, StatusAbandoned:
		return true
	default:
		return false
	}
}

// Valid reports whether s is a known state.
func (s Status) Valid() bool { return slices.Contains(Statuses(), s) }

// Reason says why an execution is in its terminal state.
type Reason string

const (
	// ReasonExitCode: the action ended with a status other than 0.
	ReasonExitCode Reason = "exit_code"
	// ReasonException: the action's code raised; Failure has it.
	ReasonException Reason = "exception"
	// ReasonOutOfMemory: the memory limit was reached and the whole sandbox killed.
	ReasonOutOfMemory Reason = "oom"
	// ReasonPids: the action failed after it reached the limit of processes.
	ReasonPids Reason = "pids"
	// ReasonDisk: the action failed with its /tmp full of bytes or of files.
	ReasonDisk Reason = "disk"
	// ReasonInvalidResult: the result is not JSON, is too large, or does not fit the output schema.
	ReasonInvalidResult Reason = "invalid_result"
	// ReasonDeadline: the action reached its timeout.
	ReasonDeadline Reason = "deadline"
	// ReasonCancelRequested: the execution was cancelled on request.
	ReasonCancelRequested Reason = "cancel_requested"
	// ReasonSecretMissing: a secret was removed between submission and start.
	ReasonSecretMissing Reason = "secret_missing"
	// ReasonImageMissing: the worker does not have the pack's image.
	ReasonImageMissing Reason = "image_missing"
	// ReasonUnsupported: the worker lacks the runtime or the network that the action needs.
	ReasonUnsupported Reason = "unsupported"
	// ReasonSandboxFailed: no sandbox could be started.
	ReasonSandboxFailed Reason = "sandbox_failed"
	// ReasonSandboxLost: the action ran, and the end of its sandbox is not known.
	ReasonSandboxLost Reason = "sandbox_lost"
	// ReasonWorkerLost: the worker died while it had the execution.
	ReasonWorkerLost Reason = "worker_lost"
	// ReasonWorkerStopped: the worker had to end before the action did.
	ReasonWorkerStopped Reason = "worker_stopped"
	// ReasonPackRemoved: the pack was uninstalled while the execution waited.
	ReasonPackRemoved Reason = "pack_removed"
	// ReasonQueueTimeout: the execution waited longer than its policies allow.
	ReasonQueueTimeout Reason = "queue_timeout"
	// ReasonSuperseded: a newer execution replaced this one, under MethodCancelOldest.
	ReasonSuperseded Reason = "superseded"
)

// Reasons lists every reason; docs/cli.md says what each of them means.
func Reasons() []Reason {
	return []Reason{
		ReasonExitCode, ReasonException, ReasonOutOfMemory, ReasonPids, ReasonDisk, ReasonInvalidResult, ReasonDeadline,
		ReasonCancelRequested, ReasonSecretMissing, ReasonImageMissing, ReasonUnsupported, ReasonSandboxFailed,
		ReasonSandboxLost, ReasonWorkerLost, ReasonWorkerStopped, ReasonPackRemoved,
		ReasonQueueTimeout, ReasonSuperseded,
	}
}

// Execution is one run of an action.
type Execution struct {
	// ID is a UUID of version 7, made at submission.
	ID          string `json:"id"`
	Action      string `json:"action"`
	Pack        string `json:"pack"`
	PackVersion string `json:"pack_version"`
	// Key is the queue's, where the action has a concurrency key; see QueueState.
	Key string `json:"key,omitempty"`
	// ImageDigest is the image that it runs in, fixed at submission.
	ImageDigest string `json:"image_digest"`
	Status      Status `json:"status"`
	Reason      Reason `json:"reason,omitempty"`
	// Attempt is the number of the present attempt, from 1; Attempts has the earlier ones.
	Attempt int `json:"attempt"`
	// Parameters are what the action gets; listings and the answer to a batch leave them out.
	Parameters json.RawMessage `json:"parameters,omitempty"`
	// Result is what the action returned; null when it is larger than MaxResultBytes, then it is only in the log bucket.
	Result json.RawMessage `json:"result,omitempty"`
	// Failure is what a failed action raised; listings have the beginning of its error.
	Failure  *Failure `json:"failure,omitempty"`
	ExitCode *int     `json:"exit_code,omitempty"`
	// Usage is what the execution used; nil where nothing ran.
	Usage *Usage `json:"usage,omitempty"`
	// Outputs are the files that the action left, by name; listings leave them out.
	Outputs []OutputFile `json:"outputs,omitempty"`
	Worker  string       `json:"worker,omitempty"`
	// Position counts from 1; it is set while the execution waits.
	Position    *int       `json:"position,omitempty"`
	CreatedAt   time.Time  `json:"created_at"`
	ScheduledAt *time.Time `json:"scheduled_at,omitempty"`
	StartedAt   *time.Time `json:"started_at,omitempty"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`
	// RetryAt is when the pause before the next attempt ends; until then the execution has no position in its queue.
	RetryAt *time.Time `json:"retry_at,omitempty"`
	// Attempts are the failed attempts before the present one, oldest first; listings leave them out.
	Attempts []Attempt `json:"attempts,omitempty"`
}

// Attempt is a failed attempt that was followed by another.
type Attempt struct {
	Attempt     int        `json:"attempt"`
	Status      Status     `json:"status"`
	Reason      Reason     `json:"reason"`
	ExitCode    *int       `json:"exit_code,omitempty"`
	Failure     *Failure   `json:"failure,omitempty"`
	Worker      string     `json:"worker"`
	ScheduledAt time.Time  `json:"scheduled_at"`
	StartedAt   *time.Time `json:"started_at,omitempty"`
	FinishedAt  time.Time  `json:"finished_at"`
	// Usage and Outputs are as in Execution.
	Usage   *Usage       `json:"usage,omitempty"`
	Outputs []OutputFile `json:"outputs,omitempty"`
}

// Usage is what an execution used of its host: all processes of the sandbox, the runner's included. A figure that the
// kernel does not keep is 0.
type Usage struct {
	// CPUSeconds is the time that processes spent on a processor.
	CPUSeconds float64 `json:"cpu_seconds"`
	// PeakMemoryBytes is the most memory at one instant, /tmp and cached files included.
	PeakMemoryBytes int64 `json:"peak_memory_bytes"`
	// ThrottledSeconds is how long the CPU limit kept processes from running.
	ThrottledSeconds float64 `json:"throttled_seconds"`
	// Isolation is the level of isolation, as `attune doctor` names it; empty where it is not known.
	Isolation string `json:"isolation,omitempty"`
}

// OutputFile is a file that an action left in $ATTUNE_OUTPUT.
type OutputFile struct {
	// Name is a path below that folder, with slashes.
	Name string `json:"name"`
	Size int64  `json:"size"`
	// SHA256 is the lower-case hex digest of the content.
	SHA256 string `json:"sha256"`
}

// NotKept is a file that an action left and that is not kept.
type NotKept struct {
	// Name is a path below $ATTUNE_OUTPUT. What cannot be printed, a quote and a backslash are escaped as in Go.
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// MaxResultBytes is the largest result that is kept in the database (contract 2).
const MaxResultBytes = 1 << 20

// What is kept of a failure at most, in bytes; all of it is in stderr.log.
const (
	MaxErrorBytes     = 8 << 10
	MaxTracebackBytes = 64 << 10
)

// Failure is an exception as the runner reports it.
type Failure struct {
	Error     string `json:"error"`
	ErrorType string `json:"error_type"`
	Traceback string `json:"traceback,omitempty"`
}

// Cut returns the failure as it is kept: the beginning of its texts and the end of its traceback, which says where it
// happened, with U+FFFD for what is not a character that every reader of JSON and every database takes.
func (f Failure) Cut() Failure {
	head := func(s string) string { return characters(s[:min(len(s), MaxErrorBytes)]) }
	return Failure{
		Error: head(f.Error), ErrorType: head(f.ErrorType),
		Traceback: characters(f.Traceback[max(0, len(f.Traceback)-MaxTracebackBytes):]),
	}
}

func characters(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// Stream is one of the two outputs of an execution.
type Stream string

const (
	// Stdout is what the action printed, and nothing else.
	Stdout Stream = "stdout"
	// Stderr is what the action and its interpreter wrote there.
	Stderr Stream = "stderr"
)

// Valid reports whether s is a known stream.
func (s Stream) Valid() bool { return s == Stdout || s == Stderr }

// LogPage is a piece of a stream.
type LogPage struct {
	// Content has bytes that are not UTF-8 replaced; the object in the bucket has them as they were.
	Content string `json:"content"`
	// Offset and NextOffset count bytes of the stored stream.
	Offset     int64 `json:"offset"`
	NextOffset int64 `json:"next_offset"`
	// TotalSize is the stored size so far, in bytes.
	TotalSize int64 `json:"total_size"`
	// Truncated: the action wrote more than is kept.
	Truncated bool `json:"truncated"`
}
