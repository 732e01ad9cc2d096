//go:build cgo

package shim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// processOf translates the process of a specification for runc's library. It refuses what it does not translate, so
// that nothing is left out in silence.
func processOf(p *specs.Process) (*libcontainer.Process, error) {
	if p.Terminal || p.SelinuxLabel != "" || p.Scheduler != nil || p.IOPriority != nil || p.ExecCPUAffinity != nil ||
		p.Capabilities == nil {
		return nil, errors.New("the specification of the process asks for what sandboxes do not have")
	}
	process := &libcontainer.Process{
		Init: true, Args: p.Args, Env: p.Env, Cwd: p.Cwd, UID: int(p.User.UID), GID: int(p.User.GID),
		NoNewPrivileges: &p.NoNewPrivileges, AppArmorProfile: p.ApparmorProfile,
		Capabilities: &configs.Capabilities{
			Bounding: p.Capabilities.Bounding, Effective: p.Capabilities.Effective, Inheritable: p.Capabilities.Inheritable,
			Permitted: p.Capabilities.Permitted, Ambient: p.Capabilities.Ambient,
		},
	}
	for _, group := range p.User.AdditionalGids {
		process.AdditionalGroups = append(process.AdditionalGroups, int(group))
	}
	for _, limit := range p.Rlimits {
		kind, known := rlimits[limit.Type]
		if !known {
			return nil, fmt.Errorf("the specification has an unknown limit %s", limit.Type)
		}
		process.Rlimits = append(process.Rlimits, configs.Rlimit{Type: kind, Hard: limit.Hard, Soft: limit.Soft})
	}
	return process, nil
}

// rlimits are the limits that sandboxes have.
var rlimits = map[string]int{
	"RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE,
}

// hostID is the host's id for an id inside a container, and root's for an id that is not mapped.
func hostID(mappings []specs.LinuxIDMapping, id uint32) int {
	at := slices.IndexFunc(mappings, func(m specs.LinuxIDMapping) bool {
		return id >= m.ContainerID && id-m.ContainerID < m.Size
	})
	if at < 0 {
		return 0
	}
	return int(mappings[at].HostID + id - mappings[at].ContainerID)
}
