package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"attune"
	"attune/imagebuilder/pack"
	"attune/storage"
)

// multipartOverhead is what a form may have beyond the file: boundaries and part headers.
const multipartOverhead = 64 << 10

// storeTime is how long checking and storing an archive may take once it has arrived; the answer must get out after it.
const storeTime = 5 * time.Minute

// uploadInput keeps the request, since the handler reads the body itself: huma would buffer it.
type uploadInput struct {
	request *http.Request
	writer  http.ResponseWriter
}

// Resolve is huma's hook for inputs that take more than parameters and a body.
func (in *uploadInput) Resolve(ctx huma.Context) []error {
	in.request, in.writer = humachi.Unwrap(ctx)
	return nil
}

// uploaded is the answer to an upload.
type uploaded struct {
	Pack         attune.Pack         `json:"pack"`
	Installation attune.Installation `json:"installation"`
}

func (s *server) uploadPack(ctx context.Context, in *uploadInput) (*response[uploaded], error) {
	length := in.request.ContentLength
	switch {
	case length > s.Limits.ArchiveBytes+multipartOverhead:
		return nil, tooLarge(s.Limits.ArchiveBytes)
	case length < 0:
		length = s.Limits.ArchiveBytes
	}
	token := callOf(ctx).token.ID
	release, err := s.inTime(ctx, func(ctx context.Context) (func(), error) {
		return s.staging.receive(ctx, token, length)
	})
	if err != nil {
		return nil, err
	}
	defer release()
	dir, err := os.MkdirTemp(s.StagingDir, "upload-")
	if err != nil {
		return nil, fmt.Errorf("make staging folder: %w", err)
	}
	defer s.removeStaging(ctx, dir)

	received := filepath.Join(dir, "received")
	if err := s.receive(in, received); err != nil {
		return nil, err
	}
	return s.store(ctx, dir, received)
}

func (s *server) removeStaging(ctx context.Context, dir string) {
	if err := os.RemoveAll(dir); err != nil {
		s.log.ErrorContext(ctx, "staging folder not removed", "request_id", callOf(ctx).id, "error", err)
	}
}

// receive writes the form's one file to path. It is cut when it is too large; boundBodies cuts it when it is too slow.
func (s *server) receive(in *uploadInput, path string) error {
	control := http.NewResponseController(in.writer)
	in.request.Body = http.MaxBytesReader(in.writer, in.request.Body, s.Limits.ArchiveBytes+multipartOverhead)
	form, err := in.request.MultipartReader()
	if err != nil {
		return attune.Errorf(attune.CodeMalformed, "the body must be multipart/form-data with one part named file")
	}
	part, err := form.NextPart()
	if err != nil {
		return uploadError(err)
	}
	if part.FormName() != "file" {
		return attune.Errorf(attune.CodeMalformed, "the form has a part that is not named file")
	}
	if err := s.save(part, path); err != nil {
		return err
	}
	if _, err := form.NextPart(); !errors.Is(err, io.EOF) {
		if err != nil {
			return uploadError(err)
		}
		return attune.Errorf(attune.CodeMalformed, "the form has more than one part; it takes a single file")
	}
	// What follows the form is dropped: the end of the body lets others send theirs.
	if _, err := io.Copy(io.Discard, in.request.Body); err != nil {
		return uploadError(err)
	}
	// A read deadline that passes cancels the request, also after its body. Errors mean a connection that is gone or
	// cannot have deadlines; either way nothing is left to do.
	_ = control.SetReadDeadline(time.Now().Add(storeTime))
	_ = control.SetWriteDeadline(time.Now().Add(storeTime))
	return nil
}

func (s *server) save(part *multipart.Part, path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make staging file: %w", err)
	}
	n, copyErr := io.Copy(file, io.LimitReader(part, s.Limits.ArchiveBytes+1))
	closeErr := file.Close()
	switch {
	case copyErr != nil:
		if _, local := errors.AsType[*os.PathError](copyErr); local {
			return fmt.Errorf("write staging file: %w", copyErr)
		}
		return uploadError(copyErr)
	case closeErr != nil:
		return fmt.Errorf("write staging file: %w", closeErr)
	case n > s.Limits.ArchiveBytes:
		return tooLarge(s.Limits.ArchiveBytes)
	default:
		return nil
	}
}

func tooLarge(limit int64) error {
	return attune.Errorf(attune.CodeTooLarge, "the archive is larger than %d bytes", limit)
}

// uploadError says why a body could not be read.
func uploadError(err error) error {
	var network net.Error
	if limit, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(limit.Limit - multipartOverhead)
	}
	if errors.As(err, &network) && network.Timeout() {
		return attune.Errorf(codeRequestTimeout, "the upload stood still for too long")
	}
	return &attune.Error{Code: attune.CodeMalformed, Message: "the form ended before it was complete", Cause: err}
}

// store checks a received archive, puts it into the pack bucket under its content's name and asks for its installation.
func (s *server) store(ctx context.Context, dir, received string) (*response[uploaded], error) {
	upload, err := os.Open(received)
	if err != nil {
		return nil, fmt.Errorf("open staging file: %w", err)
	}
	defer func() { _ = upload.Close() }()
	contents, err := s.look(ctx, upload)
	if err != nil {
		return nil, err
	}
	release, err := s.inTime(ctx, func(ctx context.Context) (func(), error) { return s.staging.unpack(ctx, contents) })
	if err != nil {
		return nil, err
	}
	defer release()
	archive, err := pack.Open(ctx, upload, dir, s.Limits)
	if err != nil {
		return nil, err
	}
	defer func() { _ = archive.Close() }()
	manifest := archive.Manifest
	if manifest.Ref != contents.Ref {
		return nil, fmt.Errorf("pack.yaml named the pack %q, and then %q", contents.Ref, manifest.Ref)
	}
	normalized := filepath.Join(dir, "archive.tar.zst")
	sha, size, err := normalize(archive, normalized)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(normalized)
	if err != nil {
		return nil, fmt.Errorf("open normalized archive: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := s.Objects.PutArchive(ctx, manifest.Ref, manifest.Version, sha, file, size); err != nil {
		return nil, err
	}
	return s.requestInstallation(ctx, manifest, sha)
}

// look finds out what an archive would take on disk and whose pack it is, before any of it is unpacked.
func (s *server) look(ctx context.Context, archive *os.File) (pack.Contents, error) {
	token := callOf(ctx).token.ID
	release, err := s.inTime(ctx, func(ctx context.Context) (func(), error) { return s.staging.look(ctx, token) })
	if err != nil {
		return pack.Contents{}, err
	}
	defer release()
	contents, err := pack.Look(ctx, archive, s.Limits)
	switch {
	case err != nil:
		return pack.Contents{}, err
	case contents.Ref == "" && !seesAll(ctx):
		return pack.Contents{}, attune.Errorf(attune.CodeForbidden,
			"the token is limited to packs, and pack.yaml does not say which pack this is")
	case contents.Ref != "" && !sees(ctx, contents.Ref):
		return pack.Contents{}, attune.Errorf(attune.CodeForbidden, "the token is not for the pack %q", contents.Ref)
	}
	return contents, nil
}

// inTime waits for something for as long as an answer may take.
func (s *server) inTime(
	ctx context.Context, wait func(context.Context) (func(), error),
) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, s.AnswerTimeout)
	defer cancel()
	return wait(ctx)
}

// normalize writes the archive in the one form that is stored.
func normalize(archive *pack.Archive, path string) (sha string, size int64, err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", 0, fmt.Errorf("make normalized archive: %w", err)
	}
	digest := sha256.New()
	counter := &countingWriter{to: io.MultiWriter(file, digest)}
	if err := errors.Join(archive.WriteTarZst(counter), file.Close()); err != nil {
		return "", 0, fmt.Errorf("normalize archive: %w", err)
	}
	return hex.EncodeToString(digest.Sum(nil)), counter.n, nil
}

// requestInstallation queues an installation and wakes the installers.
func (s *server) requestInstallation(
	ctx context.Context, manifest attune.Manifest, sha string,
) (*response[uploaded], error) {
	installation, err := s.DB.Installations.Create(ctx, manifest, sha)
	if err != nil {
		return nil, err
	}
	s.wakeInstaller(ctx)
	pack, err := s.DB.Packs.Get(ctx, manifest.Ref)
	if err != nil {
		return nil, err
	}
	return respond(uploaded{Pack: pack, Installation: installation}), nil
}

// wakeInstaller wakes the installers of all workers. They also look by themselves now and then, so a lost wake-up only
// costs time.
func (s *server) wakeInstaller(ctx context.Context) {
	if err := s.DB.Notify(ctx, storage.InstallationChannel); err != nil {
		s.log.WarnContext(ctx, "installer not woken", "request_id", callOf(ctx).id, "error", err)
	}
}

// countingWriter counts what passes.
type countingWriter struct {
	to io.Writer
	n  int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.n += int64(n)
	return n, err
}
