package containerd

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestSeccompRefusesByDefault(t *testing.T) {
	t.Parallel()
	profile := seccompProfile()
	if profile.DefaultAction != specs.ActErrno || len(profile.Syscalls) == 0 {
		t.Errorf("default is %s with %d rules", profile.DefaultAction, len(profile.Syscalls))
	}
	for _, abi := range []specs.Arch{specs.ArchX86, specs.ArchX32, specs.ArchARM} {
		if slices.Contains(profile.Architectures, abi) {
			t.Errorf("%s is open", abi)
		}
	}
}

func TestSeccompRefusesTheDenyList(t *testing.T) {
	t.Parallel()
	for _, rule := range seccompProfile().Syscalls {
		for _, name := range rule.Names {
			if rule.Action == specs.ActAllow && slices.Contains(refusedSyscalls, name) {
				t.Errorf("%s is allowed", name)
			}
		}
	}
}

// allows reports whether a call whose arguments are checked is allowed with this first argument.
func allows(name string, argument uint64) bool {
	for _, rule := range seccompProfile().Syscalls {
		if rule.Action != specs.ActAllow || !slices.Contains(rule.Names, name) {
			continue
		}
		passed := true
		for _, check := range rule.Args {
			switch check.Op {
			case specs.OpEqualTo:
				passed = passed && argument == check.Value
			case specs.OpLessThan:
				passed = passed && argument < check.Value
			case specs.OpMaskedEqual:
				passed = passed && argument&check.Value == check.ValueTwo
			default:
				passed = true
			}
		}
		if passed {
			return true
		}
	}
	return false
}

func TestSeccompLooksAtArguments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call     string
		argument uint64
		want     bool
	}{
		"unix socket":            {"socket", unix.AF_UNIX, true},
		"internet socket":        {"socket", unix.AF_INET, true},
		"kernel crypto socket":   {"socket", unix.AF_ALG, false},
		"hypervisor socket":      {"socket", unix.AF_VSOCK, false},
		"thread":                 {"clone", unix.CLONE_VM | unix.CLONE_THREAD, true},
		"user namespace":         {"clone", unix.CLONE_NEWUSER, false},
		"network namespace":      {"clone", unix.CLONE_NEWNET, false},
		"mount namespace, child": {"clone", unix.CLONE_NEWNS | uint64(unix.SIGCHLD), false},
	} {
		if got := allows(c.call, c.argument); got != c.want {
			t.Errorf("%s: allowed is %v, want %v", name, got, c.want)
		}
	}
}

func TestSeccompSendsClone3ToClone(t *testing.T) {
	t.Parallel()
	for _, rule := range seccompProfile().Syscalls {
		if slices.Contains(rule.Names, "clone3") {
			if rule.Action != specs.ActErrno || rule.ErrnoRet == nil || *rule.ErrnoRet != uint(unix.ENOSYS) {
				t.Errorf("clone3 answers %+v", rule)
			}
			return
		}
	}
	t.Error("clone3 has no rule")
}
