package sandbox

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"

	"attune"
)

// ErrUnsupported is the error of a specification that asks for what this host has not got.
var ErrUnsupported = errors.New("not supported on this host")

const (
	runcShim       = "io.containerd.runc.v2"
	runcShimBinary = "containerd-shim-runc-v2"
	runscShim      = "io.containerd.runsc.v1"
	ownShimName    = "attune-shim"
)

// runtimes are those that the report finds in order, with their paths.
func (m machine) runtimes(found Report) (map[attune.Runtime]string, error) {
	usable := map[attune.Runtime]string{}
	for _, check := range found.Checks {
		runtime := attune.Runtime(check.Name)
		if check.State != CheckOK || !slices.Contains(attune.Runtimes(), runtime) {
			continue
		}
		path, err := m.tool(check.Name)
		if err != nil {
			return nil, err
		}
		usable[runtime] = path
	}
	return usable, nil
}

// Runtimes are those that sandboxes on this host can ask for.
func (c *Containerd) Runtimes() []attune.Runtime {
	return slices.DeleteFunc(attune.Runtimes(), func(r attune.Runtime) bool { return c.runtimes[r] == "" })
}

// shim is how containerd is told of a runtime; the pipes of its sandboxes belong to owner. crun takes the arguments of runc, and
// so its shim. gVisor's has options of another kind, and none of them is needed.
func (c *Containerd) shim(runtime attune.Runtime, owner uint32) (containers.RuntimeInfo, error) {
	if c.ownShim(runtime) {
		return containers.RuntimeInfo{Name: c.config.Shim}, nil
	}
	if runtime == attune.RuntimeRunsc {
		return containers.RuntimeInfo{Name: runscShim}, nil
	}
	told, err := typeurl.MarshalAny(&options.Options{
		// The default folder for the state is shared by everybody on the host.
		BinaryName: c.runtimes[runtime], Root: filepath.Join(c.config.StateDir, string(runtime)), IoUid: owner, IoGid: owner,
	})
	if err != nil {
		return containers.RuntimeInfo{}, fmt.Errorf("encode runtime options: %w", err)
	}
	return containers.RuntimeInfo{Name: runcShim, Options: told}, nil
}

// ownShim tells whether our own shim keeps the sandboxes of a runtime.
func (c *Containerd) ownShim(runtime attune.Runtime) bool {
	return runtime == attune.RuntimeRunc && c.config.Shim != ""
}

// FindShim looks for attune-shim where the tools of sandboxes are, and beside the program that runs; empty says that it is not there.
func FindShim(binDir string) string {
	path, err := findTool(binDir, ownShimName)
	if err != nil {
		return ""
	}
	return path
}
