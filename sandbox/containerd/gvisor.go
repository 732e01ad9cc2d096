package containerd

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"attune"
)

// A specification differs for gVisor in one point: the limit on processes. What the host counts there are the processes
// and threads of gVisor, which cannot go on when it gets no more, so that the sandbox would end where its processes are
// only to be refused another. The limit holds inside instead, as one on the processes of the sandbox's only user.

// gvisorProcesses is the limit on processes as gVisor's kernel enforces it.
func gvisorProcesses(want attune.Resources) specs.POSIXRlimit {
	pids := uint64(want.Pids)
	return specs.POSIXRlimit{Type: "RLIMIT_NPROC", Soft: pids, Hard: pids}
}

const (
	// gvisorOwnPids is more than the processes and threads that gVisor has on the host for itself: some 30.
	gvisorOwnPids = 256
	// gvisorPidsEach is more than those that it has for a process inside: two.
	gvisorPidsEach = 4
)

// gvisorPids is the limit on the host, which is for a gVisor gone wrong.
func gvisorPids(want attune.Resources) int64 { return gvisorOwnPids + gvisorPidsEach*want.Pids }
