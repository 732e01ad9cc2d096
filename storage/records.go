package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	// Outputs lie below output/.
	Outputs []attune.OutputFile `json:"outputs,omitempty"`
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

// PutOutput stores a file that an execution left. What is said of it is true, also where only the spool has it as yet.
func (l *Logs) PutOutput(ctx context.Context, prefix, name string, content *io.SectionReader) (attune.OutputFile, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(content, 0, content.Size())); err != nil {
		return attune.OutputFile{}, fmt.Errorf("read output file %s: %w", name, err)
	}
	file := attune.OutputFile{Name: name, Size: content.Size(), SHA256: hex.EncodeToString(sum.Sum(nil))}
	return file, l.put(ctx, prefix+outputFolder+name, "application/octet-stream", content)
}

const (
	outputFolder = "output/"
	jsonType     = "application/json"
)

func (l *Logs) putJSON(ctx context.Context, key string, text []byte) error {
	return l.put(ctx, key, jsonType, io.NewSectionReader(bytes.NewReader(text), 0, int64(len(text))))
}

// put leaves the document in the spool, for Recover, when S3 does not take it.
func (l *Logs) put(ctx context.Context, key, contentType string, content *io.SectionReader) error {
	err := l.send(ctx, key, contentType, content)
	if attune.CodeOf(err) == attune.CodeUnavailable {
		return errors.Join(err, l.spoolDocument(key, contentType, content))
	}
	return err
}

// spoolDocument writes the header last: Recover removes a file that has none.
func (l *Logs) spoolDocument(key, contentType string, content *io.SectionReader) error {
	header, err := spoolHeader{Document: key, ContentType: contentType}.encode()
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
	if _, err = io.Copy(io.NewOffsetWriter(file, headerBytes), io.NewSectionReader(content, 0, content.Size())); err == nil {
		_, err = file.WriteAt(header, 0)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("spool %s: %w", key, errors.Join(err, os.Remove(path)))
	}
	return nil
}

func (l *Logs) send(ctx context.Context, key, contentType string, content *io.SectionReader) error {
	err := l.objects.put(ctx, l.objects.config.LogBucket, key, content, content.Size(), minio.PutObjectOptions{ContentType: contentType})
	return objectError("store "+key, err)
}
