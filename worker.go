package attune

import "time"

// Worker is a process that runs executions and builds images.
type Worker struct {
	Name     string            `json:"name"`
	Capacity int               `json:"capacity"`
	Labels   map[string]string `json:"labels,omitempty"`
	// StartedAt is when the present process of this name started.
	StartedAt      time.Time `json:"started_at"`
	LeaseExpiresAt time.Time `json:"lease_expires_at"`
	// Alive: its lease holds, by the database's clock.
	Alive bool `json:"alive"`
	// Executions are the ids of the executions that hold a slot of the worker.
	Executions []string `json:"executions"`
}
