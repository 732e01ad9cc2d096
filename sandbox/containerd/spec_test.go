package containerd

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"attune"
	"attune/sandbox"
	"attune/sandbox/containerd/cgroup"
	"attune/sandbox/hostcheck"
)

const someImage = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func someSpec() sandbox.Spec {
	return sandbox.Spec{
		ID: "run-1", ImageDigest: someImage, Args: []string{"/bin/true"},
		Network:   attune.NetworkNone,
		Resources: attune.Resources{CPU: 0.5, MemoryBytes: 256 << 20, Pids: 128, TmpBytes: 64 << 20},
	}
}

func somePlacement() placement {
	return placement{cgroupPath: "/attune/run-1", idBase: 1 << 20, run: "/state/run"}
}

func TestProcessIsConfinedWhereTheHostCan(t *testing.T) {
	t.Parallel()
	at := somePlacement()
	if profile := ociSpec(someSpec(), at).Process.ApparmorProfile; profile != "" {
		t.Errorf("a host without AppArmor is asked for %s", profile)
	}
	at.appArmor = hostcheck.AppArmorProfile
	if profile := ociSpec(someSpec(), at).Process.ApparmorProfile; profile != hostcheck.AppArmorProfile {
		t.Errorf("the profile is %q", profile)
	}
}

func TestProcessHasNoPrivileges(t *testing.T) {
	t.Parallel()
	p := ociSpec(someSpec(), somePlacement()).Process
	none := []string{}
	want := &specs.LinuxCapabilities{Bounding: none, Effective: none, Permitted: none, Inheritable: none, Ambient: none}
	if diff := cmp.Diff(want, p.Capabilities); diff != "" {
		t.Errorf("capabilities (-want +got):\n%s", diff)
	}
	if !p.NoNewPrivileges || p.Terminal || p.User.UID != nobody || p.User.GID != nobody || len(p.User.AdditionalGids) > 0 {
		t.Errorf("process is %+v", p)
	}
	if p.Cwd != sandbox.PackDir || p.OOMScoreAdj == nil || *p.OOMScoreAdj <= 0 {
		t.Errorf("cwd %s, score %v", p.Cwd, p.OOMScoreAdj)
	}
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	at := somePlacement()
	at.netns = "/state/netns/run-1"
	linux := ociSpec(someSpec(), at).Linux
	for _, kind := range []specs.LinuxNamespaceType{"user", "pid", "ipc", "uts", "mount", "cgroup", "network"} {
		i := slices.IndexFunc(linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
		if i < 0 {
			t.Errorf("no %s namespace", kind)
			continue
		}
		want := ""
		if kind == specs.NetworkNamespace {
			want = at.netns
		}
		if linux.Namespaces[i].Path != want {
			t.Errorf("%s namespace at %q, want %q", kind, linux.Namespaces[i].Path, want)
		}
	}
	want := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1 << 20, Size: 1 << 16}}
	if !slices.Equal(linux.UIDMappings, want) || !slices.Equal(linux.GIDMappings, want) {
		t.Errorf("ids are mapped %v and %v", linux.UIDMappings, linux.GIDMappings)
	}
}

func TestRlimits(t *testing.T) {
	t.Parallel()
	for tmp, fileSize := range map[int64]uint64{1 << 20: 65 << 20, 128 << 20: 128 << 20, 4 << 30: 256 << 20} {
		spec := someSpec()
		spec.Resources.TmpBytes = tmp
		got := map[string]uint64{}
		for _, limit := range ociSpec(spec, somePlacement()).Process.Rlimits {
			if limit.Soft != limit.Hard {
				t.Errorf("%s can be raised: %+v", limit.Type, limit)
			}
			got[limit.Type] = limit.Hard
		}
		want := map[string]uint64{"RLIMIT_CORE": 0, "RLIMIT_NOFILE": 1024, "RLIMIT_FSIZE": fileSize}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limits with %d bytes of /tmp (-want +got):\n%s", tmp, diff)
		}
	}
}

func TestMounts(t *testing.T) {
	t.Parallel()
	at := somePlacement()
	at.resolvConf = "/state/resolv.conf"
	s := ociSpec(someSpec(), at)
	if !s.Root.Readonly {
		t.Error("the root can be written")
	}
	want := map[string][]string{
		"/proc":            {"nosuid", "nodev", "noexec"},
		"/dev":             {"nosuid", "noexec", "size=65536", "nr_inodes=1024"},
		"/dev/shm":         {"nosuid", "nodev", "noexec", "size=16777216", "nr_inodes=4096"},
		"/run":             {"rw", "nosuid", "nodev", "noexec"},
		"/tmp":             {"nosuid", "nodev", "size=67108864", "mode=1777", "nr_inodes=16384"},
		"/etc/resolv.conf": {"ro", "nosuid", "nodev", "noexec"},
	}
	for _, m := range s.Mounts {
		for _, option := range want[m.Destination] {
			if !slices.Contains(m.Options, option) {
				t.Errorf("%s is mounted %v without %s", m.Destination, m.Options, option)
			}
		}
		if _, known := want[m.Destination]; !known {
			t.Errorf("there should be no %s (%s)", m.Destination, m.Type)
		}
		delete(want, m.Destination)
	}
	if len(want) > 0 {
		t.Errorf("not mounted: %v", want)
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		on      cgroup.Hierarchy
		swap    bool
		unified map[string]string
	}{
		"version 1":              {cgroup.Hierarchy{SwapLimit: true}, true, nil},
		"version 1 without swap": {cgroup.Hierarchy{}, false, nil},
		"version 2":              {cgroup.Hierarchy{V2: true}, true, map[string]string{"memory.oom.group": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := somePlacement()
			at.cgroups = c.on
			linux := ociSpec(someSpec(), at).Linux
			r := linux.Resources
			if linux.CgroupsPath != at.cgroupPath || *r.Memory.Limit != 256<<20 || *r.Pids.Limit != 128 {
				t.Errorf("path %s, memory %d, pids %d", linux.CgroupsPath, *r.Memory.Limit, *r.Pids.Limit)
			}
			if *r.CPU.Quota != 50_000 || *r.CPU.Period != 100_000 {
				t.Errorf("cpu %d of %d", *r.CPU.Quota, *r.CPU.Period)
			}
			if c.swap != (r.Memory.Swap != nil) || (c.swap && *r.Memory.Swap != *r.Memory.Limit) {
				t.Errorf("swap is %v", r.Memory.Swap)
			}
			if diff := cmp.Diff(c.unified, r.Unified); diff != "" {
				t.Errorf("unified (-want +got):\n%s", diff)
			}
			if len(r.Devices) != 1 || r.Devices[0].Allow {
				t.Errorf("devices %+v", r.Devices)
			}
		})
	}
}

func TestPathsOfTheKernelAreClosed(t *testing.T) {
	t.Parallel()
	linux := ociSpec(someSpec(), somePlacement()).Linux
	for _, path := range []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi"} {
		if !slices.Contains(linux.MaskedPaths, path) {
			t.Errorf("%s can be read", path)
		}
	}
	if !slices.Contains(linux.ReadonlyPaths, "/proc") {
		t.Error("/proc can be written")
	}
}
