package daemon

import (
	"io"
	"os"
	"strings"
)

const tailLogBytes = 2 << 10

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
