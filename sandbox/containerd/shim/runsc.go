//go:build cgo

package shim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// runsc makes a container with gVisor's command.
type runsc struct {
	id, bundle string
	// command is the path of runsc.
	command string
	// flags are those of the container, for every command.
	flags []string
	// shared are what is mounted in the bundle. They find it also where containerd has given the bundle up, and moved it.
	shared []*os.File
	// sandbox is the process that is gVisor's kernel. All processes of the container are in it, and end with it.
	sandbox *os.Process
}

func (r *runsc) create(spec *specs.Spec, pipes [3]*os.File) (int, func() (*os.ProcessState, error), error) {
	r.flags = runscFlags(spec)
	if err := r.share(spec.Mounts); err != nil {
		return 0, nil, err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return 0, nil, fmt.Errorf("encode specification: %w", err)
	}
	if err := os.WriteFile(filepath.Join(r.bundle, "config.json"), text, 0o644); err != nil {
		return 0, nil, err
	}
	score := 0
	if spec.Process.OOMScoreAdj != nil {
		score = *spec.Process.OOMScoreAdj
	}
	return r.createKept(pipes, score)
}

// runscFlags are what gVisor is told beside the specification.
func runscFlags(spec *specs.Spec) []string {
	flags := []string{
		"--platform", "systrap",
		// The filter of the specification holds inside, as with runc.
		"--oci-seccomp",
	}
	isNetwork := func(n specs.LinuxNamespace) bool { return n.Type == specs.NetworkNamespace && n.Path != "" }
	if !slices.ContainsFunc(spec.Linux.Namespaces, isNetwork) {
		flags = append(flags, "--network", "none") // a loopback that leads nowhere
	}
	return flags
}

// sharedPrefix is that of the mount points in a bundle.
const sharedPrefix = "mount-"

// share mounts the files and folders of the host that the container has into its bundle. The processes of gVisor have
// the ids of the container: they can pass through the bundle, and not to where these lie.
func (r *runsc) share(mounts []specs.Mount) error {
	for i := range mounts {
		m := &mounts[i]
		if m.Type != "bind" {
			continue
		}
		target := filepath.Join(r.bundle, sharedPrefix+strconv.Itoa(i))
		if err := makeMountPoint(m.Source, target); err != nil {
			return err
		}
		if err := unix.Mount(m.Source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("share %s: %w", m.Destination, err)
		}
		mounted, err := os.OpenFile(target, unix.O_PATH, 0)
		if err != nil {
			return errors.Join(err, unix.Unmount(target, unix.MNT_DETACH))
		}
		r.shared = append(r.shared, mounted)
		m.Source = target
	}
	return nil
}

// makeMountPoint makes a folder, or a file, to mount another one on.
func makeMountPoint(source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.Mkdir(target, 0o711)
	}
	return os.WriteFile(target, nil, 0o600)
}

// createKept has a keeper create the container, and waits until it has.
func (r *runsc) createKept(pipes [3]*os.File, oomScore int) (int, func() (*os.ProcessState, error), error) {
	pidFile := filepath.Join(r.bundle, "runsc.pid")
	create := r.args("create", "--bundle", r.bundle, "--pid-file", pidFile, r.id)
	keep := []string{"keep", pidFile, strconv.Itoa(oomScore), r.command}
	keeper := exec.Command("/proc/self/exe", slices.Concat(keep, create)...)
	keeper.Args[0] = "attune-shim"
	var complaint bytes.Buffer
	keeper.Stderr, keeper.ExtraFiles, keeper.Env = &complaint, pipes[:], []string{}
	said, err := keeper.StdoutPipe()
	if err != nil {
		return 0, nil, err
	}
	if err := keeper.Start(); err != nil {
		return 0, nil, err
	}
	line, _ := bufio.NewReader(said).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
	if err != nil {
		return 0, nil, fmt.Errorf("runsc create: %w: %s%s", keeper.Wait(), complaint.Bytes(), r.lastLog())
	}
	if r.sandbox, err = os.FindProcess(pid); err != nil {
		return 0, nil, fmt.Errorf("find process of gVisor: %w", err)
	}
	return pid, func() (*os.ProcessState, error) {
		err := keeper.Wait()
		return keeper.ProcessState, err
	}, nil
}

// lastLog is the last that runsc has logged.
func (r *runsc) lastLog() string {
	text, _ := os.ReadFile(r.logFile())
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

func (r *runsc) logFile() string { return filepath.Join(r.bundle, "runsc.log") }

// args are those of a command. The state has a folder for each container, as runsc takes an id for the beginning of
// one.
func (r *runsc) args(command string, args ...string) []string {
	global := []string{"--root", filepath.Join(r.bundle, "runsc"), "--log", r.logFile()}
	return slices.Concat(global, r.flags, []string{command}, args)
}

// A container may keep gVisor's kernel too busy to answer. A signal that takes longer is given up, as SIGKILL is next.
const runscTime, runscSignalTime = 30 * time.Second, 2 * time.Second

func (r *runsc) run(limit time.Duration, command string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	run := exec.CommandContext(ctx, r.command, r.args(command, args...)...)
	run.Env = []string{}
	if said, err := run.CombinedOutput(); err != nil {
		return fmt.Errorf("runsc %s: %w: %s", command, err, bytes.TrimSpace(said))
	}
	return nil
}

func (r *runsc) start() error { return r.run(runscTime, "start", r.id) }

// signal asks gVisor's kernel to signal the process, but for SIGKILL, which ends that kernel.
func (r *runsc) signal(signal unix.Signal) error {
	if signal == unix.SIGKILL {
		return r.sandbox.Kill()
	}
	err := r.run(runscSignalTime, "kill", r.id, strconv.Itoa(int(signal)))
	if err != nil && errors.Is(r.sandbox.Signal(syscall.Signal(0)), os.ErrProcessDone) {
		return os.ErrProcessDone
	}
	return err
}

// processes has gVisor's kernel only: the processes in it have no ids on the host.
func (r *runsc) processes() ([]int, error) { return []int{r.sandbox.Pid}, nil }

// destroy also kills what is left of the container, where its shim is gone.
func (r *runsc) destroy() error {
	if err := r.run(runscTime, "delete", "--force", r.id); err != nil {
		return err
	}
	for _, mounted := range r.shared {
		if err := unix.Unmount(fmt.Sprintf("/proc/self/fd/%d", mounted.Fd()), unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount what a container shares: %w", err)
		}
		_ = mounted.Close()
		r.shared = r.shared[1:]
	}
	return nil
}

// unmountShared unmounts what a dead shim has left mounted in a bundle.
func unmountShared(bundle string) error {
	shared, err := filepath.Glob(filepath.Join(bundle, sharedPrefix+"*"))
	if err != nil {
		return err
	}
	for _, target := range shared {
		if err := mount.UnmountAll(target, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount what a container shares: %w", err)
		}
	}
	return nil
}
