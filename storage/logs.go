package storage

import (
	"context"
	"fmt"
	"time"
)

// Logs writes and reads the output streams of executions and installations (contract 5).
type Logs struct {
	objects *Objects
	spool   string
}

// OpenLogs uses the folder spool, which it makes when missing, as the buffer between a stream and S3. One process at a
// time owns a spool.
func OpenLogs(objects *Objects, spool string) (*Logs, error) {
	return &Logs{objects: objects, spool: spool}, nil
}

// ExecutionPrefix is where the objects of an execution lie; name is the action's, without its pack.
func ExecutionPrefix(pack, name string, created time.Time, id string) string {
	return fmt.Sprintf("executions/%s/%s/%s/%s/", pack, name, created.UTC().Format("2006/01/02"), id)
}

// InstallationPrefix is where the log of an installation lies.
func InstallationPrefix(pack, id string) string { return "installations/" + pack + "/" + id + "/" }

// LogSummary is what became of a stream.
type LogSummary struct {
	// Size is what is stored, Total what was written.
	Size  int64 `json:"size"`
	Total int64 `json:"total"`
	// Truncated tells that bytes between head and tail are missing.
	Truncated bool `json:"truncated"`
	// SHA256 is the lower-case hex digest of the stored object.
	SHA256 string `json:"sha256"`
}

// LogWriter is one stream that is being written.
type LogWriter struct{}

// Create begins a stream, such as "stdout", of which at most capacity bytes of the head are kept.
func (l *Logs) Create(prefix, stream string, capacity int64) (*LogWriter, error) {
	return nil, fmt.Errorf("create %s%s: not built yet", prefix, stream)
}

// Write never waits for S3.
func (w *LogWriter) Write(p []byte) (int, error) { return len(p), nil }

// Close stores the stream as one object.
func (w *LogWriter) Close(ctx context.Context) (LogSummary, error) { return LogSummary{}, ctx.Err() }

// Recover stores the streams that an earlier process left in the spool.
func (l *Logs) Recover(ctx context.Context) error { return ctx.Err() }
