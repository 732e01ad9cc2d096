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

// Document is a JSON object that goes to the bucket after what it tells of. Until Store it is in the spool, where Recover finds
// it after a crash.
type Document struct {
	logs *Logs
	key  string
	text []byte
	// path is of its file in the spool; empty where the disk took none.
	path string
}

// SpoolManifest begins manifest.json. The document is there also beside an error, which says that the disk did not take it.
func (l *Logs) SpoolManifest(prefix string, m Manifest) (*Document, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return l.spoolDocument(prefix+"manifest.json", append(text, '\n'))
}

// SpoolResult begins result.json, which must be JSON, as SpoolManifest does.
func (l *Logs) SpoolResult(prefix string, result []byte) (*Document, error) {
	return l.spoolDocument(prefix+"result.json", result)
}

// spoolDocument writes the header last: Recover removes a file that has none.
func (l *Logs) spoolDocument(key string, text []byte) (*Document, error) {
	d := &Document{logs: l, key: key, text: text}
	header, err := spoolHeader{Document: key}.encode()
	if err != nil {
		return d, err
	}
	path := filepath.Join(l.spool, newID()+spoolSuffix)
	l.take(path)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		l.giveBack(path)
		return d, fmt.Errorf("spool %s: %w", key, err)
	}
	if _, err = file.WriteAt(text, headerBytes); err == nil {
		_, err = file.WriteAt(header, 0)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
		l.giveBack(path)
		return d, fmt.Errorf("spool %s: %w", key, err)
	}
	d.path = path
	return d, nil
}

// Store sends the document and gives up its file, or leaves it to Recover when S3 does not take it. Either Store or Leave is
// called, once.
func (d *Document) Store(ctx context.Context) error {
	err := d.logs.sendJSON(ctx, d.key, bytes.NewReader(d.text), int64(len(d.text)))
	if err == nil && d.path != "" {
		err = os.Remove(d.path)
	}
	d.Leave()
	return err
}

// Leave leaves the document to Recover.
func (d *Document) Leave() {
	if d.path != "" {
		d.logs.giveBack(d.path)
	}
}

func (l *Logs) sendJSON(ctx context.Context, key string, text io.Reader, size int64) error {
	err := l.objects.put(ctx, l.objects.config.LogBucket, key, text, size,
		minio.PutObjectOptions{ContentType: "application/json"})
	return objectError("store "+key, err)
}
