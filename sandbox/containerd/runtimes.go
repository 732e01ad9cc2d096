package containerd

import (
	"slices"

	"attune"
	"attune/sandbox/hostcheck"
)

// tools are the programs that make a runtime's sandboxes.
type tools struct {
	// command is the runtime's own, shim the program that keeps its containers for containerd.
	command, shim string
}

// shims are the names of the runtimes' shims.
var shims = map[attune.Runtime]string{
	attune.RuntimeRunc: hostcheck.OwnShim, attune.RuntimeRunsc: hostcheck.RunscShim,
}

// runtimes returns the container runtimes that the report finds in order.
func runtimes(found hostcheck.Report, binDir string) (map[attune.Runtime]tools, error) {
	usable := map[attune.Runtime]tools{}
	for _, runtime := range attune.Runtimes() {
		if !found.OK(string(runtime)) {
			continue
		}
		command, err := hostcheck.FindTool(binDir, string(runtime))
		if err != nil {
			return nil, err
		}
		shim, err := hostcheck.FindTool(binDir, shims[runtime])
		if err != nil {
			return nil, err
		}
		usable[runtime] = tools{command: command, shim: shim}
	}
	return usable, nil
}

// Runtimes returns the container runtimes that a Spec can name on this host.
func (c *Runtime) Runtimes() []attune.Runtime {
	return slices.DeleteFunc(attune.Runtimes(), func(r attune.Runtime) bool { return !c.supports(r) })
}

func (c *Runtime) supports(runtime attune.Runtime) bool {
	_, found := c.runtimes[runtime]
	return found
}
