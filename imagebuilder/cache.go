package imagebuilder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// cachedFile reads a compressed file of the cache folder.
type cachedFile struct {
	*zstd.Decoder
	file *os.File
}

// Close ends the reading.
func (c cachedFile) Close() error {
	c.Decoder.Close()
	return c.file.Close()
}

// openCached opens a file of the cache folder, after making it where it is missing. A file is there whole or not at all.
func openCached(path string, produce func(io.Writer) error) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeCached(path, produce); err != nil {
			return nil, err
		}
		file, err = os.Open(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open cached layer: %w", err)
	}
	decoder, err := zstd.NewReader(file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open cached layer: %w", err), file.Close())
	}
	return cachedFile{decoder, file}, nil
}

func makeCached(path string, produce func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("make cached layer: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), os.Remove(file.Name()))
		}
	}()
	packed, err := zstd.NewWriter(file)
	if err != nil {
		return fmt.Errorf("make cached layer: %w", err)
	}
	if err := errors.Join(produce(packed), packed.Close()); err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("make cached layer: %w", err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("make cached layer: %w", err)
	}
	return nil
}

// lockFile waits for a lock that processes share, so that two of them do not make the same thing.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock cache: %w", err)
	}
	retry := time.NewTicker(200 * time.Millisecond)
	defer retry.Stop()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil // which lets go of the lock
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock cache: %w", err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-retry.C:
		}
	}
}
