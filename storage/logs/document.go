package logs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"attune"
	"attune/storage/s3"
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
	// Outputs are the files below output/.
	Outputs []attune.OutputFile `json:"outputs,omitempty"`
	// NotKept are the files that the action left and that are not there.
	NotKept []attune.NotKept `json:"not_kept,omitempty"`
	// Streams are keyed by attune.Stdout and attune.Stderr.
	Streams map[attune.Stream]Summary `json:"streams"`
}

// Document is an object that goes to the bucket once its execution is recorded. Until Upload it is in the spool, where
// Recover finds it after a crash.
type Document struct {
	store            *Store
	key, contentType string
	// content is what is sent; nil where it is read from the spool.
	content *io.SectionReader
	// path is its file in the spool; empty where the disk refused one.
	path string
}

// SpoolManifest begins manifest.json. An error says that the disk refused the document, which is returned all the same.
func (l *Store) SpoolManifest(prefix string, m Manifest) (*Document, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return l.spoolJSON(prefix, manifestName, append(text, '\n'))
}

// SpoolResult begins result.json, which must be JSON, as SpoolManifest does.
func (l *Store) SpoolResult(prefix string, result []byte) (*Document, error) {
	return l.spoolJSON(prefix, resultName, result)
}

// SpoolOutput begins a file that an execution left. When the disk refuses it, there is no document.
func (l *Store) SpoolOutput(
	prefix, name string, content *io.SectionReader,
) (attune.OutputFile, *Document, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(content, 0, content.Size())); err != nil {
		return attune.OutputFile{}, nil, fmt.Errorf("read output file %s: %w", name, err)
	}
	d, err := l.spoolDocument(prefix, outputFolder+name, fileType, content)
	if err != nil {
		return attune.OutputFile{}, nil, err
	}
	d.content = nil // it stays on the disk
	return attune.OutputFile{Name: name, Size: content.Size(), SHA256: hex.EncodeToString(sum.Sum(nil))}, d, nil
}

func (l *Store) spoolJSON(prefix, name string, text []byte) (*Document, error) {
	return l.spoolDocument(prefix, name, jsonType, io.NewSectionReader(bytes.NewReader(text), 0, int64(len(text))))
}

func (l *Store) spoolDocument(prefix, name, contentType string, content *io.SectionReader) (*Document, error) {
	key := prefix + name
	d := &Document{store: l, key: key, contentType: contentType, content: content}
	header, err := spoolHeader{Document: key, ContentType: contentType}.encode()
	if err != nil {
		return d, err
	}
	path := l.newSpoolPath(prefix)
	l.take(path)
	if err := writeDocument(path, header, content); err != nil {
		l.giveBack(path)
		return d, fmt.Errorf("spool %s: %w", key, err)
	}
	d.path = path
	if content.Size() > attune.MaxResultBytes {
		d.content = nil // many of them wait while S3 is slow
	}
	return d, nil
}

// writeDocument writes the header last: Recover sets a file aside that has none.
func writeDocument(path string, header []byte, content *io.SectionReader) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(file, headerBytes), io.NewSectionReader(content, 0, content.Size()))
	if err == nil {
		_, err = file.WriteAt(header, 0)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// Upload sends the document and gives up its file, or leaves it to Recover when S3 does not answer. What S3 refuses for
// good is set aside and reported. Either Upload or Leave is called, once.
func (d *Document) Upload(ctx context.Context) error {
	err := d.send(ctx)
	switch {
	case d.path == "":
	case errors.Is(err, s3.ErrRefused):
		err = d.store.setAside(d.path, err)
	case err == nil:
		err = os.Remove(d.path)
	}
	d.Leave()
	return err
}

func (d *Document) send(ctx context.Context) error {
	if d.content != nil {
		return d.store.send(ctx, d.key, d.contentType, d.content)
	}
	spool, err := openSpool(d.path)
	if err != nil {
		return err
	}
	return errors.Join(d.store.sendSpooled(ctx, spool), spool.close())
}

// Leave leaves the document to Recover.
func (d *Document) Leave() {
	if d.path != "" {
		d.store.giveBack(d.path)
	}
}

// sendSpooled sends a document from its file in the spool.
func (l *Store) sendSpooled(ctx context.Context, s *spool) error {
	content := io.NewSectionReader(s.file, headerBytes, s.total)
	return l.send(ctx, s.Document, cmp.Or(s.ContentType, jsonType), content)
}

func (l *Store) send(ctx context.Context, key, contentType string, content *io.SectionReader) error {
	return l.bucket.Put(ctx, key, content, content.Size(), s3.PutOptions{ContentType: contentType})
}
