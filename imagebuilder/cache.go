package imagebuilder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

const cacheSuffix = ".tar.zst"

// openCached opens a layer of the cache folder, which it makes if it is missing. The file is compressed, has the digest
// of its content in its name, and appears whole or not at all.
func openCached(dir, name string, produce func(io.Writer) error) (*os.File, digest.Digest, error) {
	prefix := filepath.Join(dir, name) + "-"
	found, err := filepath.Glob(prefix + "*" + cacheSuffix)
	if err != nil {
		return nil, "", fmt.Errorf("look up cached layer: %w", err)
	}
	if len(found) == 0 {
		path, err := makeCached(prefix, produce)
		if err != nil {
			return nil, "", err
		}
		found = append(found, path)
	}
	file, err := os.Open(found[0])
	if err != nil {
		return nil, "", fmt.Errorf("open cached layer: %w", err)
	}
	hex := strings.TrimSuffix(strings.TrimPrefix(found[0], prefix), cacheSuffix)
	return file, digest.NewDigestFromEncoded(digest.Canonical, hex), nil
}

func makeCached(prefix string, produce func(io.Writer) error) (path string, err error) {
	file, err := os.CreateTemp(filepath.Dir(prefix), ".layer-*")
	if err != nil {
		return "", fmt.Errorf("make cached layer: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), os.Remove(file.Name()))
		}
	}()
	diff, err := compress(file, zstd.SpeedDefault, produce)
	if err != nil {
		return "", err
	}
	if err := file.Sync(); err != nil {
		return "", fmt.Errorf("make cached layer: %w", err)
	}
	path = prefix + diff.Encoded() + cacheSuffix
	if err := os.Rename(file.Name(), path); err != nil {
		return "", fmt.Errorf("make cached layer: %w", err)
	}
	if err := file.Close(); err != nil {
		return "", errors.Join(fmt.Errorf("make cached layer: %w", err), os.Remove(path))
	}
	return path, nil
}

// lockFile takes a lock between processes, so that two of them do not make the same layer.
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
			return func() { _ = file.Close() }, nil // releases the lock
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
