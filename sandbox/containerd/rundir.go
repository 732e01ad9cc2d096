package containerd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"attune/sandbox"
)

// runDir is the run directory of one sandbox, which only the host can enter. Its path is a function of the id, so that
// a later process of the same owner finds it.
type runDir string

func (d runDir) stdin() string     { return filepath.Join(string(d), "stdin") }
func (d runDir) stdout() string    { return filepath.Join(string(d), "stdout") }
func (d runDir) stderr() string    { return filepath.Join(string(d), "stderr") }
func (d runDir) result() string    { return filepath.Join(string(d), "result") }
func (d runDir) failure() string   { return filepath.Join(string(d), "failure") }
func (d runDir) collected() string { return filepath.Join(string(d), "collected") }

// assignment says which execution uses the sandbox, delivered that the sandbox has its whole document, exit how it
// ended.
func (d runDir) assignment() string { return filepath.Join(string(d), "assignment.json") }
func (d runDir) delivered() string  { return filepath.Join(string(d), "delivered") }
func (d runDir) exit() string       { return filepath.Join(string(d), "exit.json") }

// root is where the root of a sandbox of gVisor is mounted, shared the folder with its files, runscConfig the
// configuration of its shim.
func (d runDir) root() string        { return filepath.Join(string(d), "root") }
func (d runDir) shared() string      { return filepath.Join(string(d), "shared") }
func (d runDir) runscConfig() string { return filepath.Join(string(d), "runsc.toml") }

// create makes the folder, the pipes, and the three empty files that the sandbox may write. Each file is mounted by
// itself, so the sandbox can change its content, but never what is at its path.
func (d runDir) create(owner int) error {
	if err := os.Mkdir(string(d), 0o700); err != nil {
		return fmt.Errorf("make run directory: %w", err)
	}
	for _, path := range []string{d.stdin(), d.stdout(), d.stderr()} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			return fmt.Errorf("make pipe %s: %w", path, err)
		}
	}
	for _, path := range []string{d.result(), d.failure(), d.collected()} {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("make result file: %w", err)
		}
		if err := errors.Join(file.Chown(owner, owner), file.Close()); err != nil {
			return fmt.Errorf("hand over result file: %w", err)
		}
	}
	return nil
}

// openOutputs opens the reading ends of both outputs.
func (d runDir) openOutputs() (stdout, stderr *os.File, err error) {
	const mode = os.O_RDONLY | unix.O_NONBLOCK // does not wait for a writer
	if stdout, err = os.OpenFile(d.stdout(), mode, 0); err != nil {
		return nil, nil, fmt.Errorf("open pipe: %w", err)
	}
	if stderr, err = os.OpenFile(d.stderr(), mode, 0); err != nil {
		return nil, nil, fmt.Errorf("open pipe: %w", errors.Join(err, stdout.Close()))
	}
	return stdout, stderr, nil
}

// readLimited reads what an ended sandbox left in one of the three files, nil when that is nothing.
func readLimited(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open result: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at result: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("result %s is not a file", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, sandbox.MaxResultFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	if len(text) == 0 {
		return nil, nil
	}
	return text, nil
}
