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

// RunManifest is manifest.json: what became of an execution, for people with an S3 client and nothing else.
type RunManifest struct {
	ID          string        `json:"id"`
	Action      string        `json:"action"`
	PackVersion string        `json:"pack_version"`
	ImageDigest string        `json:"image_digest"`
	Status      attune.Status `json:"status"`
	Reason      attune.Reason `json:"reason,omitempty"`
	ExitCode    *int          `json:"exit_code,omitempty"`
	Attempts    int           `json:"attempts"`
	CreatedAt   time.Time     `json:"created_at"`
	StartedAt   *time.Time    `json:"started_at,omitempty"`
	FinishedAt  *time.Time    `json:"finished_at,omitempty"`
	// Streams are keyed by attune.Stdout and attune.Stderr.
	Streams map[attune.Stream]LogSummary `json:"streams"`
	// ResultSize is the size of result.json; absent when the action returned nothing.
	ResultSize int64 `json:"result_size,omitempty"`
}

// PutManifest stores manifest.json.
func (l *Logs) PutManifest(ctx context.Context, prefix string, m RunManifest) error {
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
