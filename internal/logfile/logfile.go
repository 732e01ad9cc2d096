// Package logfile bounds the logs that other processes write while they run.
package logfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// MaxBytes is the size from which a log becomes the earlier one. Both together take twice as much, and what is written
// between two calls of Bound.
const MaxBytes = 10 << 20

// Open opens a log for appending, as Bound needs it.
func Open(path string) (*os.File, error) {
	if err := Bound(path); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return file, nil
}

// Bound makes the end of a long log the earlier file, path.1, and empties the log. Its process goes on appending to the
// same file; a line that it writes meanwhile may be lost. Call it from time to time.
func Bound(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() <= MaxBytes {
		return nil
	}
	if err == nil {
		err = copyEnd(path, path+".1", info.Size())
	}
	if err == nil {
		err = os.Truncate(path, 0)
	}
	if err != nil {
		return fmt.Errorf("bound log: %w", err)
	}
	return nil
}

// copyEnd copies the last MaxBytes of a file of a given size.
func copyEnd(path, to string, size int64) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	next := to + ".new"
	file, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, io.NewSectionReader(from, size-MaxBytes, MaxBytes))
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return os.Rename(next, to)
}
