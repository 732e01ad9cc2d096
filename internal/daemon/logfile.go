package daemon

import (
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	maxLogBytes  = 10 << 20
	tailLogBytes = 2 << 10
)

// openLog opens a daemon's log for appending. It rotates a long one first, and keeps one earlier file.
func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("rename the log: %w", err)
		}
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return file, nil
}

// tailOf returns the last lines of a log, for an error message; it is empty if the log cannot be read.
func tailOf(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > tailLogBytes {
		if _, err := file.Seek(-tailLogBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(io.LimitReader(file, tailLogBytes))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
