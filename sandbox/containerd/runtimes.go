package containerd

import (
	"fmt"
	"slices"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"

	"attune"
	"attune/sandbox/hostcheck"
)

// runtimes returns the container runtimes that the report finds in order, with the paths of their commands.
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

// runtimeInfo describes a runtime to containerd, which hands the options to attune-shim. Without any, the shim takes
// runc, as a library.
func (c *Runtime) runtimeInfo(runtime attune.Runtime) (containers.RuntimeInfo, error) {
	info := containers.RuntimeInfo{Name: c.shim.program}
	if runtime == attune.RuntimeRunc {
		return info, nil
	}
	told, err := typeurl.MarshalAny(&options.Options{BinaryName: c.runtimes[runtime]})
	if err != nil {
		return info, fmt.Errorf("encode runtime options: %w", err)
	}
	info.Options = told
	return info, nil
}
