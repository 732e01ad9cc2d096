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

// run is what the sandbox has as /run: a folder of ours with the three files that it may write.
func (d runDir) run() string { return filepath.Join(string(d), "run") }

// create makes the folder, the pipes, and the three empty files that the sandbox may write. It can change what is in
// the files, and never what is at their paths: the folders that it finds them in belong to the host.
func (d runDir) create(owner int) error {
	shared := filepath.Join(string(d), filepath.Dir(sandbox.ResultPath))
	if err := errors.Join(
		os.Mkdir(string(d), 0o700), os.MkdirAll(shared, 0o755),
		os.Chmod(d.run(), 0o755), os.Chmod(shared, 0o755), // whatever the umask is
	); err != nil {
		return fmt.Errorf("make run directory: %w", err)
	}
	for _, path := range []string{d.stdin(), d.stdout(), d.stderr()} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			return fmt.Errorf("make pipe %s: %w", path, err)
		}
	}
	for path, inside := range map[string]string{
		d.result(): sandbox.ResultPath, d.failure(): sandbox.FailurePath, d.collected(): sandbox.CollectedPath,
	} {
		if err := shareFile(path, filepath.Join(string(d), inside), owner); err != nil {
			return fmt.Errorf("make result file: %w", err)
		}
	}
	return nil
}

// shareFile makes an empty file of an owner, with two paths: that of the host, and that below /run of the sandbox.
func shareFile(path, shared string, owner int) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Chown(owner, owner), file.Close(), os.Link(path, shared))
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
	if info.Size() == 0 {
		return nil, nil
	}
	text := make([]byte, min(info.Size(), sandbox.MaxResultFileBytes+1)) // its processes are gone: it does not grow
	if _, err := io.ReadFull(file, text); err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	return text, nil
}
