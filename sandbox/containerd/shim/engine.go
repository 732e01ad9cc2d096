//go:build cgo

package shim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"attune/sandbox/containerd/shim/deleted"
)

// engine is a container runtime, as far as one container goes.
type engine interface {
	// create makes the container with a process that waits to be started and has the pipes as its stdin, stdout and
	// stderr. It returns the id of the process, and what waits for its end.
	create(spec *specs.Spec, pipes [3]*os.File) (pid int, wait func() (*os.ProcessState, error), err error)
	start() error
	// signal signals the first process of the container, and all of them with SIGKILL. The error is os.ErrProcessDone or
	// libcontainer.ErrNotRunning where the process has ended.
	signal(signal unix.Signal) error
	// processes returns the ids on the host of what runs in the container.
	processes() ([]int, error)
	// destroy removes what create made, also where create failed. The process must have ended.
	destroy() error
}

// runtimeRef says which engine a container has, also to a program that cleans up after a shim that is gone.
type runtimeRef struct {
	// command is the path of runsc, empty for runc, which is a library here.
	command string
	// root is where runc keeps the state of containers. That of runsc is in the bundle.
	root string
}

// runtimeOf returns the runtime of a container: runsc where the worker names its command, or else runc.
func runtimeOf(runcRoot string, r *task.CreateTaskRequest) (runtimeRef, error) {
	if r.Options == nil {
		return runtimeRef{root: runcRoot}, nil
	}
	var o options.Options
	if err := typeurl.UnmarshalTo(r.Options, &o); err != nil {
		return runtimeRef{}, fmt.Errorf("read options of container %s: %w", r.ID, err)
	}
	return runtimeRef{command: o.BinaryName}, nil
}

func (r runtimeRef) engine(id, bundle string) engine {
	if r.command == "" {
		return &runc{id: id, bundle: bundle, root: r.root}
	}
	return &runsc{id: id, bundle: bundle, command: r.command}
}

// leaveNote writes the runtime into a container's bundle, where readNote finds it.
func (r runtimeRef) leaveNote(bundle string) error {
	text := r.root
	if r.command != "" {
		text += "\n" + r.command
	}
	return os.WriteFile(filepath.Join(bundle, deleted.Note), []byte(text), 0o600)
}

func readNote(bundle string) (runtimeRef, error) {
	text, err := os.ReadFile(filepath.Join(bundle, deleted.Note))
	root, command, _ := strings.Cut(string(text), "\n")
	return runtimeRef{root: root, command: command}, err
}
