package containerd

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"attune/sandbox"
)

// readOutputs finds the output files in what was collected. Their contents are read later.
func readOutputs(path string) ([]sandbox.Output, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("look for output files: %w", err)
	}
	return sandbox.ReadOutputs(laterFile(path), info.Size()), nil
}

// laterFile is a file that is opened for each read: most runs leave nothing to read.
type laterFile string

// ReadAt implements io.ReaderAt.
func (f laterFile) ReadAt(p []byte, offset int64) (int, error) {
	file, err := os.OpenFile(string(f), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, fmt.Errorf("open output file: %w", err)
	}
	defer file.Close()
	return file.ReadAt(p, offset)
}
