//go:build cgo

package shim

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func someProcess() *specs.Process {
	return &specs.Process{
		User: specs.User{UID: 65534, GID: 65533, AdditionalGids: []uint32{7}}, Args: []string{"/bin/true", "-v"},
		Env: []string{"A=b"}, Cwd: "/opt", NoNewPrivileges: true, ApparmorProfile: "attune-sandbox",
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{}, Effective: []string{"CAP_KILL"}},
		Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 10, Hard: 20}},
	}
}

func TestProcessIsTranslatedWhole(t *testing.T) {
	t.Parallel()
	got, err := processOf(someProcess())
	yes := true
	want := &libcontainer.Process{
		Init: true, UID: 65534, GID: 65533, AdditionalGroups: []int{7}, Args: []string{"/bin/true", "-v"},
		Env: []string{"A=b"}, Cwd: "/opt", NoNewPrivileges: &yes, AppArmorProfile: "attune-sandbox",
		Capabilities: &configs.Capabilities{Bounding: []string{}, Effective: []string{"CAP_KILL"}},
		Rlimits:      []configs.Rlimit{{Type: unix.RLIMIT_NOFILE, Soft: 10, Hard: 20}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(libcontainer.Process{})); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestProcessThatIsNotASandboxsIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*specs.Process){
		"terminal":        func(p *specs.Process) { p.Terminal = true },
		"SELinux label":   func(p *specs.Process) { p.SelinuxLabel = "label" },
		"scheduler":       func(p *specs.Process) { p.Scheduler = &specs.Scheduler{} },
		"disk priority":   func(p *specs.Process) { p.IOPriority = &specs.LinuxIOPriority{} },
		"processors":      func(p *specs.Process) { p.ExecCPUAffinity = &specs.CPUAffinity{} },
		"no capabilities": func(p *specs.Process) { p.Capabilities = nil },
		"unknown limit":   func(p *specs.Process) { p.Rlimits[0].Type = "RLIMIT_NICE" },
	} {
		p := someProcess()
		change(p)
		if got, err := processOf(p); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestHostID(t *testing.T) {
	t.Parallel()
	mappings := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1 << 20, Size: 10}, {ContainerID: 100, HostID: 5, Size: 2}}
	for id, want := range map[uint32]int{0: 1 << 20, 9: 1<<20 + 9, 10: 0, 99: 0, 100: 5, 101: 6, 102: 0} {
		if got := hostID(mappings, id); got != want {
			t.Errorf("%d is %d outside, not %d", id, got, want)
		}
	}
}
