package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	Usage       *attune.Usage `json:"usage,omitempty"`
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

// putJSON leaves the document in the spool, for Recover, when S3 does not take it.
func (l *Logs) putJSON(ctx context.Context, key string, text []byte) error {
	err := l.sendJSON(ctx, key, bytes.NewReader(text), int64(len(text)))
	if attune.CodeOf(err) == attune.CodeUnavailable {
		return errors.Join(err, l.spoolJSON(key, text))
	}
	return err
}

// spoolJSON writes the header last: Recover removes a file that has none.
func (l *Logs) spoolJSON(key string, text []byte) error {
	header, err := spoolHeader{Document: key}.encode()
	if err != nil {
		return err
	}
	path := filepath.Join(l.spool, newID()+spoolSuffix)
	l.take(path)
	defer l.giveBack(path)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("spool %s: %w", key, err)
	}
	if _, err = file.WriteAt(text, headerBytes); err == nil {
		_, err = file.WriteAt(header, 0)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("spool %s: %w", key, errors.Join(err, os.Remove(path)))
	}
	return nil
}

func (l *Logs) sendJSON(ctx context.Context, key string, text io.Reader, size int64) error {
	err := l.objects.put(ctx, l.objects.config.LogBucket, key, text, size,
		minio.PutObjectOptions{ContentType: "application/json"})
	return objectError("store "+key, err)
}
