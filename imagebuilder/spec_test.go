package imagebuilder

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestBuildSpec(t *testing.T) {
	t.Parallel()
	c := confinement{
		id: "build-1", limitSwap: true, netns: "/run/netns/n",
		limits: BuildLimits{MemoryBytes: 1 << 30, Pids: 7, CPU: 1.5},
		binds:  []specs.Mount{bind("/src", "/dst", "ro")},
	}
	spec, err := buildSpec("ns", step{args: []string{"/bin/true"}, dir: "/tmp", env: []string{"A=b"}, caps: packageCaps},
		c)
	if err != nil {
		t.Fatal(err)
	}
	p, l := spec.Process, spec.Linux
	if !p.NoNewPrivileges || p.Terminal || p.Cwd != "/tmp" || !slices.Contains(p.Env, "A=b") {
		t.Errorf("process: %+v", p)
	}
	if !slices.Equal(p.Capabilities.Bounding, packageCaps) || p.Capabilities.Ambient != nil ||
		p.Capabilities.Inheritable != nil {
		t.Errorf("capabilities: %+v", p.Capabilities)
	}
	namespaces := map[specs.LinuxNamespaceType]string{}
	for _, n := range l.Namespaces {
		namespaces[n.Type] = n.Path
	}
	want := map[specs.LinuxNamespaceType]string{"pid": "", "ipc": "", "uts": "", "mount": "", "network": "/run/netns/n",
		"user": "", "cgroup": ""}
	for kind, path := range want {
		if got, ok := namespaces[kind]; !ok || got != path {
			t.Errorf("namespace %s: %q, %v", kind, got, ok)
		}
	}
	if m := l.UIDMappings[0]; m.ContainerID != 0 || m.HostID != firstID || m.Size != idRange {
		t.Errorf("ids: %+v", m)
	}
	if *l.Resources.Memory.Limit != 1<<30 || *l.Resources.Memory.Swap != 1<<30 || *l.Resources.Pids.Limit != 7 ||
		*l.Resources.CPU.Quota != 150_000 {
		t.Errorf("resources: %+v", l.Resources)
	}
	if l.Seccomp == nil || l.CgroupsPath != "/attune-build-1" {
		t.Errorf("seccomp %v, cgroup %s", l.Seccomp, l.CgroupsPath)
	}
	for _, rule := range l.Seccomp.Syscalls {
		if slices.Contains(rule.Names, "ptrace") {
			t.Errorf("ptrace is in a rule that says %s", rule.Action)
		}
	}
	for _, m := range spec.Mounts {
		if m.Destination == "/sys" || m.Destination == "/sys/fs/cgroup" {
			t.Errorf("%s is mounted", m.Destination)
		}
		if m.Type == "bind" && (!slices.Contains(m.Options, "nosuid") || !slices.Contains(m.Options, "nodev")) {
			t.Errorf("%s: %q", m.Destination, m.Options)
		}
	}
}

// A step that is not online gets a network namespace of its own, in which there is nothing.
func TestBuildSpecOffline(t *testing.T) {
	t.Parallel()
	spec, err := buildSpec("ns", step{args: []string{"/bin/true"}, dir: "/"}, confinement{id: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if len(spec.Process.Capabilities.Effective)+len(spec.Process.Capabilities.Bounding) != 0 {
		t.Errorf("capabilities: %+v", spec.Process.Capabilities)
	}
	offline := specs.LinuxNamespace{Type: specs.NetworkNamespace}
	if !slices.Contains(spec.Linux.Namespaces, offline) {
		t.Errorf("namespaces: %+v", spec.Linux.Namespaces)
	}
}
