package containerd

import (
	"runtime"
	"slices"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// refusedSyscalls are never allowed, whatever the default profile says.
var refusedSyscalls = []string{
	// The default allows ptrace, since it reaches only processes of the same sandbox. But the parent of the first process
	// is outside: PTRACE_TRACEME makes the shim its tracer. The shim takes the first stop for the end, no one kills the
	// process any more, and it outlives every deadline.
	"ptrace",
	"io_uring_setup", "io_uring_enter", "io_uring_register",
	"keyctl", "add_key", "request_key",
	"bpf", "userfaultfd", "perf_event_open",
	"unshare", "setns", "clone3", "pivot_root", "chroot",
	"mount", "umount", "umount2", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
	"open_by_handle_at", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
}

// seccompProfile is containerd's default for a process without capabilities, minus the refused calls. clone3 answers
// ENOSYS, so that the C library falls back to clone, whose flags a filter can check.
func seccompProfile() *specs.LinuxSeccomp {
	none := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}}
	profile := seccomp.DefaultProfile(none)
	for i, rule := range profile.Syscalls {
		if rule.Action == specs.ActAllow {
			profile.Syscalls[i].Names = slices.DeleteFunc(rule.Names, refusedSyscall)
		}
	}
	profile.Syscalls = slices.DeleteFunc(profile.Syscalls, func(rule specs.LinuxSyscall) bool {
		return len(rule.Names) == 0
	})
	profile.Architectures = nativeArchitecture()
	return profile
}

func refusedSyscall(name string) bool { return slices.Contains(refusedSyscalls, name) }

// nativeArchitecture leaves out the 32-bit ABI: its socketcall hides the address family behind a pointer, which would
// allow AF_ALG and AF_VSOCK again.
func nativeArchitecture() []specs.Arch {
	switch runtime.GOARCH {
	case "amd64":
		return []specs.Arch{specs.ArchX86_64}
	case "arm64":
		return []specs.Arch{specs.ArchAARCH64}
	default:
		// The container runtime adds the native architecture.
		return nil
	}
}
