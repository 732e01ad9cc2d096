package attune

// Policy is what limits the executions of an action. Limits delay, they never reorder.
type Policy struct {
	Concurrency *Concurrency `json:"concurrency,omitempty"`
}

// Concurrency bounds how many executions are scheduled, running or canceling at one instant.
type Concurrency struct {
	// Limit is at least 1.
	Limit int `json:"limit"`
}

// QueueStats is how a queue stands at one instant.
type QueueStats struct {
	// Waiting executions are queued; Running ones hold a slot: they are scheduled, running or canceling.
	Waiting int `json:"waiting"`
	Running int `json:"running"`
	// Limit is nil where no limit is set.
	Limit *int `json:"limit"`
	// AvgWaitTimeSeconds is the mean time from submission to now of the executions that wait; nil when none does.
	AvgWaitTimeSeconds *float64 `json:"avg_wait_time_seconds"`
	// OldestWaitSeconds is how long the head of the queue has waited; nil when none waits.
	OldestWaitSeconds *float64 `json:"oldest_wait_seconds"`
}
