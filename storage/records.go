package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/minio/minio-go/v7"

	"attune"
)

// Manifest is manifest.json: what became of an execution, for people with an S3 client and nothing else.
type Manifest struct {
	Execution   string        `json:"execution"`
	Action      string        `json:"action"`
	PackVersion string        `json:"pack_version"`
	ImageDigest string        `json:"image_digest"`
	Attempts    int           `json:"attempts"`
	Status      attune.Status `json:"status"`
	Reason      attune.Reason `json:"reason,omitempty"`
	ExitCode    *int          `json:"exit_code,omitempty"`
	StartedAt   *time.Time    `json:"started_at,omitempty"`
	FinishedAt  *time.Time    `json:"finished_at,omitempty"`
	// Streams are keyed by attune.Stdout and attune.Stderr.
	Streams map[attune.Stream]LogSummary `json:"streams"`
}

// PutManifest stores manifest.json.
func (l *Logs) PutManifest(ctx context.Context, prefix string, m Manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	return l.putJSON(ctx, prefix+"manifest.json", append(text, '\n'))
}

// PutResult stores result.json, which must be JSON.
func (l *Logs) PutResult(ctx context.Context, prefix string, result []byte) error {
	return l.putJSON(ctx, prefix+"result.json", result)
}

func (l *Logs) putJSON(ctx context.Context, key string, text []byte) error {
	err := l.objects.put(ctx, l.objects.config.LogBucket, key, bytes.NewReader(text), int64(len(text)),
		minio.PutObjectOptions{ContentType: "application/json"})
	return objectError("store "+key, err)
}
