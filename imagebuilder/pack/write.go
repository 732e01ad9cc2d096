package pack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// epoch is the time of every file, so that the time of packing does not change the bytes.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// WriteTarZst writes the pack in its one canonical form: files only, sorted by path, without owners, all of one time,
// mode 0644 or 0755. Packs with equal files have equal bytes, however they were archived before.
func (a *Archive) WriteTarZst(w io.Writer) (err error) {
	// One goroutine, because the division of the work changes the bytes. The window is one that Open accepts.
	compressed, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(maxZstdWindow/2))
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	archive := tar.NewWriter(compressed)
	for _, file := range a.files {
		if err := a.writeFile(archive, file); err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", file.name, err), compressed.Close())
		}
	}
	return errors.Join(archive.Close(), compressed.Close())
}

func (a *Archive) writeFile(archive *tar.Writer, file packFile) (err error) {
	mode := int64(0o644)
	if file.executable {
		mode = 0o755
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: file.name, Size: file.size, Mode: mode, ModTime: epoch}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	content, err := a.root.Open(file.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	_, err = io.Copy(archive, content)
	return err
}
