package containerd

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"

	"attune"
	"attune/sandbox/hostcheck"
)

const runscShim = "io.containerd.runsc.v1"

// runtimes returns the container runtimes that the report finds in order, with their paths.
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

// Runtimes returns the container runtimes that a Spec can name on this host.
func (c *Runtime) Runtimes() []attune.Runtime {
	return slices.DeleteFunc(attune.Runtimes(), func(r attune.Runtime) bool { return c.runtimes[r] == "" })
}

// shim describes a runtime to containerd. The pipes of its sandboxes belong to owner. The options of gVisor's shim are
// of another kind, and none is needed.
func (c *Runtime) shim(runtime attune.Runtime, owner uint32) (containers.RuntimeInfo, error) {
	if c.ownShim(runtime) {
		return containers.RuntimeInfo{Name: c.config.Shim}, nil
	}
	if runtime == attune.RuntimeRunsc {
		return containers.RuntimeInfo{Name: runscShim}, nil
	}
	told, err := typeurl.MarshalAny(&options.Options{
		// The default folder for the state is shared by all programs of the host.
		BinaryName: c.runtimes[runtime], Root: filepath.Join(c.config.StateDir, string(runtime)), IoUid: owner, IoGid: owner,
	})
	if err != nil {
		return containers.RuntimeInfo{}, fmt.Errorf("encode runtime options: %w", err)
	}
	return containers.RuntimeInfo{Name: hostcheck.RuncShim, Options: told}, nil
}

// ownShim reports whether attune-shim keeps the sandboxes of a runtime.
func (c *Runtime) ownShim(runtime attune.Runtime) bool {
	return runtime == attune.RuntimeRunc && c.config.Shim != ""
}

// FindShim returns the path of attune-shim, which is looked for where hostcheck.FindTool does. It is empty where there
// is none.
func FindShim(binDir string) string {
	path, err := hostcheck.FindTool(binDir, hostcheck.OwnShim)
	if err != nil {
		return ""
	}
	return path
}
