package attune

import "time"

// Explanation says why an execution has not started, at one instant.
type Explanation struct {
	Execution string `json:"execution"`
	Status    Status `json:"status"`
	Action    string `json:"action"`
	// Key is the queue's; see QueueState.
	Key string `json:"key,omitempty"`
	// Position counts from 1; it is set while the execution waits in its queue.
	Position *int `json:"position,omitempty"`
	// Gate holds back the head of the queue, and so everything behind it; nil when nothing does.
	Gate *Gate `json:"gate,omitempty"`
	// ExpectedStartAt is an estimate from recent durations; nil when there are none.
	ExpectedStartAt *time.Time `json:"expected_start_at,omitempty"`
	// Summary is the explanation in one sentence.
	Summary string `json:"summary"`
}

// GateKind is the kind of a Gate.
type GateKind string

const (
	// GateConcurrency: all slots of the scope are taken.
	GateConcurrency GateKind = "concurrency"
	// GateRateLimit: as many as may start within the window have started.
	GateRateLimit GateKind = "rate_limit"
	// GateBackoff: the pause before the next attempt is not over.
	GateBackoff GateKind = "backoff"
	// GateWorkers: no live worker has a free slot.
	GateWorkers GateKind = "workers"
)

// Gate is what holds an execution back, with its figures.
type Gate struct {
	Kind GateKind `json:"kind"`
	// Scope is "global", "packs/<ref>", "actions/<ref>" or "queues/<ref>", the last being the queue itself, of one action
	// or of one value of its key.
	Scope string `json:"scope"`
	// Limit and Taken count slots, or starts within the window.
	Limit int `json:"limit"`
	Taken int `json:"taken"`
	// WindowSeconds belongs to GateRateLimit.
	WindowSeconds int `json:"window_seconds,omitempty"`
	// OpensAt is known for GateRateLimit and GateBackoff.
	OpensAt *time.Time `json:"opens_at,omitempty"`
	// Holders are the executions that hold the slots of GateConcurrency and GateWorkers: the first MaxHolders, oldest
	// first.
	Holders []Holder `json:"holders,omitempty"`
}

// MaxHolders bounds Gate.Holders.
const MaxHolders = 20

// Holder is an execution that has a slot.
type Holder struct {
	Execution   string     `json:"execution"`
	Action      string     `json:"action"`
	Status      Status     `json:"status"`
	Worker      string     `json:"worker"`
	ScheduledAt time.Time  `json:"scheduled_at"`
	StartedAt   *time.Time `json:"started_at,omitempty"`
}
