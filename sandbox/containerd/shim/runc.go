//go:build cgo

package shim

import (
	"os"
	"slices"
	"strings"

	_ "github.com/opencontainers/cgroups/devices" // device rules of both versions
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// runc makes a container with runc's library. The only process that it starts is the one that becomes the container's.
type runc struct {
	id, bundle string
	// root is where runc keeps the state of containers.
	root      string
	container *libcontainer.Container
}

// bundleLabel names where runc's command finds the specification, for `runc exec`. The library takes the working
// directory for it.
const bundleLabel = "bundle="

func (r *runc) create(spec *specs.Spec, pipes [3]*os.File) (int, func() (*os.ProcessState, error), error) {
	process, err := processOf(spec.Process)
	if err != nil {
		return 0, nil, err
	}
	process.Stdin, process.Stdout, process.Stderr = pipes[0], pipes[1], pipes[2]
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: r.id, Spec: spec})
	if err != nil {
		return 0, nil, err
	}
	isBundle := func(label string) bool { return strings.HasPrefix(label, bundleLabel) }
	config.Labels = append(slices.DeleteFunc(config.Labels, isBundle), bundleLabel+r.bundle)
	if r.container, err = libcontainer.Create(r.root, r.id, config); err != nil {
		return 0, nil, err
	}
	if err := r.container.Start(process); err != nil {
		return 0, nil, err
	}
	pid, err := process.Pid()
	return pid, process.Wait, err
}

func (r *runc) start() error { return r.container.Exec() }

func (r *runc) signal(signal unix.Signal) error { return r.container.Signal(signal) }

func (r *runc) processes() ([]int, error) { return r.container.Processes() }

func (r *runc) destroy() error {
	if r.container == nil {
		return nil
	}
	return r.container.Destroy()
}
