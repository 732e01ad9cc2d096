package attune

import "time"

// Policy bounds when executions may start: those of an action, of a pack, or all. Limits delay and never reorder;
// quotas and MaxWaiting turn submissions away. The zero Policy bounds nothing.
type Policy struct {
	Concurrency *Concurrency `json:"concurrency,omitempty"`
	RateLimit   *RateLimit   `json:"rate_limit,omitempty"`
	Quota       *Quota       `json:"quota,omitempty"`
	// MaxWaiting is how many executions may wait at one instant; a submission beyond it is refused.
	MaxWaiting *int `json:"max_waiting,omitempty"`
	// MaxWaitSeconds ends an execution that has waited longer as ReasonQueueTimeout.
	MaxWaitSeconds *int `json:"max_wait_seconds,omitempty"`
}

// Concurrency bounds how many executions hold a slot at one instant: are scheduled, running or canceling.
type Concurrency struct {
	// Limit is at least 1. With a Key it is the limit of each queue.
	Limit int `json:"limit"`
	// Key names parameters of the action; each combination of their values has a queue of its own.
	Key []string `json:"key,omitempty"`
	// Total, with a Key, is the limit of the action over all its queues; nil is none.
	Total *int `json:"total,omitempty"`
	// Method is what happens to a submission that finds no free slot; empty is MethodEnqueue.
	Method Method `json:"method,omitempty"`
}

// Method is what happens to a submission that finds no free slot in its queue.
type Method string

const (
	// MethodEnqueue lets it wait.
	MethodEnqueue Method = "enqueue"
	// MethodCancelOldest ends the oldest executions of its queue, so that at most Limit are left, itself included.
	MethodCancelOldest Method = "cancel_oldest"
	// MethodReject refuses it.
	MethodReject Method = "reject"
)

// RateLimit bounds how many executions start within any span of the window's length.
type RateLimit struct {
	MaxExecutions int `json:"max_executions"`
	WindowSeconds int `json:"window_seconds"`
}

// Quota bounds how many executions are submitted within a period. Periods follow each other from midnight UTC of
// 1970-01-01, so that 86400 is a day and 3600 a full hour.
type Quota struct {
	MaxExecutions int `json:"max_executions"`
	PeriodSeconds int `json:"period_seconds"`
}

// Bounds of the numbers in a Policy; all of them are at least 1.
const (
	MaxConcurrency   = 1_000_000
	MaxRate          = 1_000_000
	MaxPolicySeconds = 366 * 24 * 3600
	MaxKeyParameters = 8
)

// PolicyOrigin says where a policy comes from. An operator's policy replaces the pack's.
type PolicyOrigin string

const (
	// OriginPack: from the pack's files.
	OriginPack PolicyOrigin = "pack"
	// OriginOperator: set through the API.
	OriginOperator PolicyOrigin = "operator"
)

// ScopedPolicy is the policy that applies to a scope.
type ScopedPolicy struct {
	// Scope is "global", "packs/<ref>" or "actions/<ref>".
	Scope     string       `json:"scope"`
	Origin    PolicyOrigin `json:"origin"`
	Policy    Policy       `json:"policy"`
	UpdatedAt time.Time    `json:"updated_at"`
}

// QueueStats are the figures of an action's queue at one instant, or of all its queues where it has a concurrency key.
type QueueStats struct {
	// Waiting executions are queued; Running ones hold a slot: they are scheduled, running or canceling.
	Waiting int `json:"waiting"`
	Running int `json:"running"`
	// Limit is nil where no limit is set.
	Limit *int `json:"limit"`
	// AvgWaitTimeSeconds is the mean time from submission to now of the executions that wait; nil when none does.
	AvgWaitTimeSeconds *float64 `json:"avg_wait_time_seconds"`
	// OldestWaitSeconds is how long the head of the queue has waited; nil when no execution waits.
	OldestWaitSeconds *float64 `json:"oldest_wait_seconds"`
	// Keys are the queues, with executions, of an action with a concurrency key; Limit is then the total.
	Keys []KeyStats `json:"keys,omitempty"`
}

// KeyStats are the figures of the queue of one value of the concurrency key.
type KeyStats struct {
	// Key is a JSON object with the parameters of the key.
	Key string `json:"key"`
	QueueStats
}

// QueueState is a queue with executions, for the listing of all of them.
type QueueState struct {
	Action string `json:"action"`
	// Key is a JSON object with the parameters of the concurrency key; empty where the action has none.
	Key string `json:"key,omitempty"`
	QueueStats
}
