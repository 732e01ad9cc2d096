package containerd

import (
	"fmt"
	"path/filepath"
	"slices"

	"attune/sandbox/hostcheck"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"

	"attune"
)

const runscShim = "io.containerd.runsc.v1"

// runtimes are those that the report finds in order, with their paths.
func runtimes(found hostcheck.Report, binDir string) (map[attune.Runtime]string, error) {
	usable := map[attune.Runtime]string{}
	for _, runtime := range attune.Runtimes() {
		if !found.OK(string(runtime)) {
			continue
		}
		path, err := hostcheck.FindTool(binDir, string(runtime))
		if err != nil {
			return nil, err
		}
		usable[runtime] = path
	}
	return usable, nil
}

// Runtimes are those that sandboxes on this host can ask for.
func (c *Runtime) Runtimes() []attune.Runtime {
	return slices.DeleteFunc(attune.Runtimes(), func(r attune.Runtime) bool { return c.runtimes[r] == "" })
}

// shim is how containerd is told of a runtime; the pipes of its sandboxes belong to owner. gVisor's has options of another kind, and none of them is needed.
func (c *Runtime) shim(runtime attune.Runtime, owner uint32) (containers.RuntimeInfo, error) {
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
	return containers.RuntimeInfo{Name: hostcheck.RuncShim, Options: told}, nil
}

// ownShim tells whether our own shim keeps the sandboxes of a runtime.
func (c *Runtime) ownShim(runtime attune.Runtime) bool {
	return runtime == attune.RuntimeRunc && c.config.Shim != ""
}

// FindShim looks for attune-shim where the tools of sandboxes are, and beside the program that runs; empty says that it is not there.
func FindShim(binDir string) string {
	path, err := hostcheck.FindTool(binDir, hostcheck.OwnShim)
	if err != nil {
		return ""
	}
	return path
}
