package containerd

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"attune"
)

const (
	// gvisorOwnPids is more than the processes and threads that gVisor has on the host for itself: some 30.
	gvisorOwnPids = 256
	// gvisorPidsEach is more than those that it has on the host for a process inside: two.
	gvisorPidsEach = 4
)

// forGVisor changes a specification where gVisor takes it in another way than runc.
func forGVisor(s *specs.Spec, want attune.Resources) {
	// What the host counts are the processes and threads of gVisor, which ends when the host refuses it one. Inside, the
	// limit is one on the processes of the sandbox's only user. The host's is wider, for a gVisor gone wrong.
	pids, onHost := uint64(want.Pids), gvisorOwnPids+gvisorPidsEach*want.Pids
	s.Process.Rlimits = append(s.Process.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_NPROC", Soft: pids, Hard: pids})
	s.Linux.Resources.Pids.Limit = &onHost

	// A rule that answers with an error does so with EPERM, whatever error it names. One that asks a tracer, of which
	// there is none, answers ENOSYS.
	for i, rule := range s.Linux.Seccomp.Syscalls {
		if rule.Action == specs.ActErrno && rule.ErrnoRet != nil && *rule.ErrnoRet == uint(unix.ENOSYS) {
			s.Linux.Seccomp.Syscalls[i].Action, s.Linux.Seccomp.Syscalls[i].ErrnoRet = specs.ActTrace, nil
		}
	}
}
