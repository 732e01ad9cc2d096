package containerd

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/runtime-spec/specs-go"

	"attune"
)

// TestSpecForGVisor: all but the limit on processes, and how clone3 is refused, is as for runc.
func TestSpecForGVisor(t *testing.T) {
	t.Parallel()
	spec := someSpec()
	runc := ociSpec(spec, somePlacement())
	spec.Runtime = attune.RuntimeRunsc
	runsc := ociSpec(spec, somePlacement())

	inside := []specs.POSIXRlimit{{Type: "RLIMIT_NPROC", Soft: 128, Hard: 128}}
	if added := runsc.Process.Rlimits[len(runc.Process.Rlimits):]; !slices.Equal(added, inside) {
		t.Errorf("limits inside: %+v", added)
	}
	if got := *runsc.Linux.Resources.Pids.Limit; got != 256+4*128 {
		t.Errorf("processes on the host: %d", got)
	}
	at := slices.IndexFunc(runsc.Linux.Seccomp.Syscalls, func(rule specs.LinuxSyscall) bool {
		return slices.Contains(rule.Names, "clone3")
	})
	if rule := runsc.Linux.Seccomp.Syscalls[at]; rule.Action != specs.ActTrace || rule.ErrnoRet != nil {
		t.Errorf("clone3 answers %+v", rule)
	}

	runsc.Process.Rlimits = runsc.Process.Rlimits[:len(runc.Process.Rlimits)]
	runsc.Linux.Seccomp.Syscalls[at] = runc.Linux.Seccomp.Syscalls[at]
	if diff := cmp.Diff(runc, runsc, cmpopts.IgnoreFields(specs.LinuxPids{}, "Limit")); diff != "" {
		t.Errorf("it also differs (-runc +runsc):\n%s", diff)
	}
}
