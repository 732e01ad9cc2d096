package containerd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"

	"attune/sandbox"
)

// runDir is the run directory of one sandbox, which only the host can enter. Its path is a function of the id, so that
// a later process of the same owner finds it.
type runDir string

func (d runDir) stdin() string  { return filepath.Join(string(d), "stdin") }
func (d runDir) stdout() string { return filepath.Join(string(d), "stdout") }
func (d runDir) stderr() string { return filepath.Join(string(d), "stderr") }

// assignment says which execution uses the sandbox, delivered that the sandbox has its whole document, exit how it
// ended.
func (d runDir) assignment() string { return filepath.Join(string(d), "assignment.json") }
func (d runDir) delivered() string  { return filepath.Join(string(d), "delivered") }
func (d runDir) exit() string       { return filepath.Join(string(d), "exit.json") }

// run is what the sandbox has as /run: a file system of its own, in memory, with all that it can leave for the host.
// The kernel counts it as memory of the sandbox that writes there. It survives this process, and not the host's.
func (d runDir) run() string { return filepath.Join(string(d), "run") }

// shared is the folder in it that the sandbox may change, LeftDir.
func (d runDir) shared() string { return filepath.Join(d.run(), filepath.Base(sandbox.LeftDir)) }

// create makes the folder with all that is in it, for a sandbox whose user is owner on the host.
func (d runDir) create(owner int) error {
	if err := os.Mkdir(string(d), 0o700); err != nil {
		return fmt.Errorf("make run directory: %w", err)
	}
	if err := d.fill(owner); err != nil {
		return errors.Join(err, d.remove())
	}
	return nil
}

func (d runDir) fill(owner int) error {
	for _, path := range []string{d.stdin(), d.stdout(), d.stderr()} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			return fmt.Errorf("make pipe %s: %w", path, err)
		}
	}
	if err := os.Mkdir(d.run(), 0o755); err != nil {
		return fmt.Errorf("make run directory: %w", err)
	}
	options := fmt.Sprintf("mode=0755,size=%d,nr_inodes=%d", sandbox.MaxLeftBytes, sandbox.MaxLeftFiles)
	if err := unix.Mount("tmpfs", d.run(), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("mount the sandbox's /run: %w", err)
	}
	if err := d.share(owner); err != nil {
		return fmt.Errorf("make result files: %w", err)
	}
	return nil
}

// failureReserve is room for a failure where the sandbox has used up all the rest.
const failureReserve = 64 << 10

// share makes the folder that the sandbox may change, with an empty result and failure and a folder for output.
func (d runDir) share(owner int) error {
	inside := func(path string) string { return filepath.Join(string(d), path) }
	err := errors.Join(os.Mkdir(d.shared(), 0o755), os.Mkdir(inside(sandbox.OutputDir), 0o755))
	for _, path := range []string{d.shared(), inside(sandbox.OutputDir)} {
		err = errors.Join(err, os.Chmod(path, 0o755), os.Chown(path, owner, owner)) // whatever the umask is
	}
	return errors.Join(err,
		makeFile(inside(sandbox.ResultPath), owner, 0), makeFile(inside(sandbox.FailurePath), owner, failureReserve))
}

// makeFile makes an empty file with room reserved for its content.
func makeFile(path string, owner int, reserve int64) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if reserve > 0 {
		err = unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, reserve)
	}
	return errors.Join(err, file.Chown(owner, owner), file.Close())
}

// remove removes the folder with all that is in it, whatever of it is there.
func (d runDir) remove() error {
	if err := ignoreNotExist(mount.UnmountAll(d.run(), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)); err != nil {
		return fmt.Errorf("unmount the sandbox's /run: %w", err)
	}
	return os.RemoveAll(string(d))
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
