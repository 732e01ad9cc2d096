package attune

import (
	"encoding/json"
	"regexp"
	"strings"
)

// RunnerType names the program inside the image that calls an action's code.
type RunnerType string

const (
	// RunnerPython calls a Python function or runs a Python file.
	RunnerPython RunnerType = "python"
	// RunnerNodeJS calls an exported JavaScript function.
	RunnerNodeJS RunnerType = "nodejs"
	// RunnerShell runs a bash script.
	RunnerShell RunnerType = "shell"
)

// Network is what an action can reach.
type Network string

const (
	// NetworkNone is an empty network namespace: no interface but a loopback that leads nowhere.
	NetworkNone Network = "none"
	// NetworkEgress reaches the public internet, and neither the host nor private addresses.
	NetworkEgress Network = "egress"
)

// Runtime is the program that makes the sandboxes of an action.
type Runtime string

const (
	// RuntimeRunc shares the host's kernel, behind namespaces and a filter of system calls.
	RuntimeRunc Runtime = "runc"
	// RuntimeRunsc is gVisor's: it puts a kernel of its own between the action and the host's.
	RuntimeRunsc Runtime = "runsc"
)

// Runtimes lists every runtime; runc is the one that every worker has.
func Runtimes() []Runtime { return []Runtime{RuntimeRunc, RuntimeRunsc} }

// Defaults of an action, as contract 1 of the design sets them.
const (
	DefaultTimeoutSeconds = 300
	DefaultMemoryBytes    = 256 << 20
	DefaultTmpBytes       = 64 << 20
	DefaultPids           = 128
	DefaultCPU            = 1.0
	DefaultOpenFiles      = 1024
	// DefaultTmpFiles is for a /tmp of 256 MiB or more; a smaller one has a file for each 4 KiB, and 1024 at least.
	DefaultTmpFiles = 1 << 16
)

var actionName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// Action is one operation of a pack.
type Action struct {
	// ID is a UUID that stays the same across versions of the pack; empty in a manifest.
	ID string `json:"id,omitempty"`
	// Ref is "<pack>.<name>".
	Ref         string     `json:"ref"`
	Pack        string     `json:"pack"`
	Label       string     `json:"label,omitempty"`
	Description string     `json:"description,omitempty"`
	RunnerType  RunnerType `json:"runner_type"`
	// EntryPoint is the code file, a slash path below the pack's actions/ folder.
	EntryPoint string `json:"entry_point"`
	// Function is the part after the colon of the entry point; empty leaves the choice to the runner.
	Function string `json:"function,omitempty"`
	// Preload names what the runner loads before the action's execution is known: modules or packages, and files of the
	// pack as ./lib/models.py.
	Preload []string `json:"preload,omitempty"`
	// Parameters and OutputSchema are JSON Schemas; null accepts anything.
	Parameters   json.RawMessage `json:"parameters,omitempty"`
	OutputSchema json.RawMessage `json:"output_schema,omitempty"`
	// Secrets are the names of the secrets that the action reads.
	Secrets []string `json:"secrets,omitempty"`
	// Env is set by the runner before the action's code; it never holds a secret.
	Env map[string]string `json:"env,omitempty"`
	// TimeoutSeconds counts from the start of the sandbox.
	TimeoutSeconds int     `json:"timeout_seconds"`
	Retry          *Retry  `json:"retry,omitempty"`
	Network        Network `json:"network"`
	// Runtime is empty where the worker chooses.
	Runtime   Runtime   `json:"runtime,omitempty"`
	Resources Resources `json:"resources"`
	Policy    Policy    `json:"policy"`
	// Warm is how many warm sandboxes are kept; nil lets use decide.
	Warm *int `json:"warm,omitempty"`
}

// Retry says which failures are tried again, how often, and after which pauses. Pauses double from one attempt to the
// next, up to MaxBackoffSeconds, and each is shortened by up to half at random, so that executions that failed together
// do not come back together.
type Retry struct {
	// MaxAttempts counts the first one, too.
	MaxAttempts       int     `json:"max_attempts"`
	BackoffSeconds    float64 `json:"backoff_seconds"`
	MaxBackoffSeconds float64 `json:"max_backoff_seconds"`
	// Reasons are the reasons of failures that are tried again; empty takes DefaultRetryReasons.
	Reasons []Reason `json:"reasons,omitempty"`
	// ExitCodes, where not empty, narrow ReasonExitCode and ReasonException to these exit statuses.
	ExitCodes []int `json:"exit_codes,omitempty"`
}

// Defaults and bounds of Retry.
const (
	DefaultBackoffSeconds    = 1
	DefaultMaxBackoffSeconds = 60
	MaxAttempts              = 100
)

// DefaultRetryReasons are the reasons that another attempt may cure and after which the code has certainly ended.
func DefaultRetryReasons() []Reason {
	return []Reason{
		ReasonExitCode, ReasonException, ReasonOutOfMemory, ReasonPids, ReasonDisk, ReasonDeadline, ReasonSandboxFailed,
	}
}

// RetryReasons are the reasons that Retry.Reasons may name: the default ones, and those after which the attempt may
// have succeeded unnoticed.
func RetryReasons() []Reason {
	return append(DefaultRetryReasons(), ReasonInvalidResult, ReasonImageMissing, ReasonSecretMissing, ReasonUnsupported,
		ReasonSandboxLost, ReasonWorkerLost, ReasonWorkerStopped)
}

// Resources are the ceilings of one sandbox.
type Resources struct {
	// CPU is in cores; 0.5 is half of one.
	CPU float64 `json:"cpu"`
	// MemoryBytes covers the processes and what they keep in /tmp.
	MemoryBytes int64 `json:"memory_bytes"`
	Pids        int64 `json:"pids"`
	// TmpBytes is the size of /tmp.
	TmpBytes int64 `json:"tmp_bytes"`
	// TmpFiles is how many files and folders /tmp holds, OpenFiles how many a process has open; 0 takes the default.
	TmpFiles  int64 `json:"tmp_files,omitempty"`
	OpenFiles int64 `json:"open_files,omitempty"`
	// LogBytes is the cap of each output stream; 0 takes the service's default.
	LogBytes int64 `json:"log_bytes,omitempty"`
}

// ValidActionName reports whether s can be the part of an action's ref after the dot.
func ValidActionName(s string) bool { return actionName.MatchString(s) }

// SplitActionRef cuts "<pack>.<name>" in two; ok is false when s is not of that form.
func SplitActionRef(s string) (pack, name string, ok bool) {
	pack, name, ok = strings.Cut(s, ".")
	return pack, name, ok && ValidPackRef(pack) && ValidActionName(name)
}

// Name is the part of the ref after the dot.
func (a *Action) Name() string {
	_, name, _ := strings.Cut(a.Ref, ".")
	return name
}
