package containerd

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"attune"
	"attune/sandbox"
	"attune/sandbox/containerd/cgroup"
)

const (
	// nobody is the user inside every sandbox, whatever the image says.
	nobody = 65534
	// idRangeSize is the number of user and group ids of each sandbox.
	idRangeSize = 1 << 16

	// ociVersion is the oldest version that has everything used here. A runtime refuses versions newer than itself.
	ociVersion = "1.0.2"

	resolvConfPath = "/etc/resolv.conf"
	cpuPeriod      = 100_000
	// oomScore makes the kernel kill a sandbox before the service when the whole host is out of memory.
	oomScore = 500
	devShm   = 16 << 20
	devSize  = 64 << 10
)

// placement is what the specification takes from the host: facts that hold for every sandbox, and what was made for
// this one.
type placement struct {
	cgroups    cgroup.Hierarchy
	cgroupPath string
	// idBase is the id on the host of the sandbox's root.
	idBase uint32
	// appArmor is the profile to run under, empty on a host without AppArmor.
	appArmor string
	// netns is the path of a network namespace. Empty asks for a new one without interfaces.
	netns string
	// run is the folder on the host that is /run of the sandbox.
	run string
	// resolvConf is a file on the host, empty without a network.
	resolvConf string
}

// ociSpec is everything that the container runtime knows of a sandbox. It starts from nothing rather than from a
// library's default, so that nothing is granted that is not written here.
func ociSpec(spec sandbox.Spec, at placement) *specs.Spec {
	s := &specs.Spec{
		Version:  ociVersion,
		Hostname: "attune",
		// The path is relative to the bundle, where containerd mounts the snapshot.
		Root:    &specs.Root{Path: "rootfs", Readonly: true},
		Process: process(spec, at),
		Mounts:  mounts(spec, at),
		Linux: &specs.Linux{
			Namespaces:    namespaces(at),
			UIDMappings:   idMapping(at.idBase),
			GIDMappings:   idMapping(at.idBase),
			CgroupsPath:   at.cgroupPath,
			Resources:     resources(spec, at.cgroups),
			MaskedPaths:   maskedPaths(),
			ReadonlyPaths: readonlyPaths(),
			// The profile depends on capabilities; there are none, and it comes last for that reason.
			Seccomp: seccompProfile(),
		},
	}
	if spec.Runtime == attune.RuntimeRunsc {
		forGVisor(s, spec.Resources)
	}
	return s
}

func process(spec sandbox.Spec, at placement) *specs.Process {
	score := oomScore
	openFiles := uint64(cmp.Or(spec.Resources.OpenFiles, attune.DefaultOpenFiles))
	// The largest file that /tmp can hold, which counts as memory, or /run.
	fileSize := uint64(max(min(spec.Resources.TmpBytes, spec.Resources.MemoryBytes), sandbox.MaxLeftBytes))
	return &specs.Process{
		User:            specs.User{UID: nobody, GID: nobody},
		Args:            spec.Args,
		Env:             environment(spec.Env),
		Cwd:             sandbox.PackDir,
		NoNewPrivileges: true,
		ApparmorProfile: at.appArmor,
		// Empty, not nil: a runtime may read nil as "leave them as they are".
		Capabilities: &specs.LinuxCapabilities{
			Bounding: []string{}, Effective: []string{}, Permitted: []string{}, Inheritable: []string{}, Ambient: []string{},
		},
		Rlimits: []specs.POSIXRlimit{
			{Type: "RLIMIT_CORE", Soft: 0, Hard: 0},
			{Type: "RLIMIT_FSIZE", Soft: fileSize, Hard: fileSize},
			{Type: "RLIMIT_NOFILE", Soft: openFiles, Hard: openFiles},
		},
		OOMScoreAdj: &score,
	}
}

// environment is the same for every run of an action. The runner adds that of the execution after it has read stdin.
func environment(own map[string]string) []string {
	env := []string{
		"PATH=/opt/attune/venv/bin:/opt/attune/node_modules/.bin:" +
			"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/tmp",
		"TMPDIR=/tmp",
		"LANG=C.UTF-8",
		"VIRTUAL_ENV=/opt/attune/venv",
		"ATTUNE_RESULT=" + sandbox.ResultPath,
		"ATTUNE_FAILURE=" + sandbox.FailurePath,
		"ATTUNE_OUTPUT=" + sandbox.OutputDir,
	}
	// A later variable replaces an earlier one.
	for _, name := range slices.Sorted(maps.Keys(own)) {
		env = append(env, name+"="+own[name])
	}
	return env
}

func mounts(spec sandbox.Spec, at placement) []specs.Mount {
	list := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		tmpfs("/dev", devSize, 0, "mode=755", "noexec"),
		tmpfs("/dev/shm", devShm, 0, "mode=1777", "nodev", "noexec"),
		tmpfs("/tmp", spec.Resources.TmpBytes, spec.Resources.TmpFiles, "mode=1777", "nodev"),
		bind(at.run, "/run", "rw"),
	}
	if at.resolvConf != "" {
		list = append(list, bind(at.resolvConf, resolvConfPath, "ro"))
	}
	return list
}

// tmpfs bounds the number of files as well as their size: empty files take kernel memory, too. Where inodes is 0, the
// number follows from the size.
func tmpfs(path string, size, inodes int64, options ...string) specs.Mount {
	inodes = cmp.Or(inodes, min(max(size/4096, 1024), attune.DefaultTmpFiles))
	return specs.Mount{
		Destination: path, Type: "tmpfs", Source: "tmpfs",
		Options: append([]string{
			"nosuid", "size=" + strconv.FormatInt(size, 10), "nr_inodes=" + strconv.FormatInt(inodes, 10),
		}, options...),
	}
}

func bind(source, destination, mode string) specs.Mount {
	return specs.Mount{
		Destination: destination, Type: "bind", Source: source,
		Options: []string{"bind", mode, "nosuid", "nodev", "noexec"},
	}
}

// There is no sysfs and no cgroup mount. Only the owner of the network namespace can mount a sysfs, which for egress is
// the host, and no action needs one.

func namespaces(at placement) []specs.LinuxNamespace {
	return []specs.LinuxNamespace{
		{Type: specs.UserNamespace}, {Type: specs.PIDNamespace}, {Type: specs.IPCNamespace},
		{Type: specs.UTSNamespace}, {Type: specs.MountNamespace}, {Type: specs.CgroupNamespace},
		{Type: specs.NetworkNamespace, Path: at.netns},
	}
}

func idMapping(base uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: 0, HostID: base, Size: idRangeSize}}
}

func resources(spec sandbox.Spec, on cgroup.Hierarchy) *specs.LinuxResources {
	want := spec.Resources
	memory, pids := want.MemoryBytes, want.Pids
	quota, period := int64(math.Ceil(want.CPU*cpuPeriod)), uint64(cpuPeriod)
	res := &specs.LinuxResources{
		// The runtime adds the harmless devices: null, zero, random, ….
		Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}},
		Memory:  &specs.LinuxMemory{Limit: &memory},
		CPU:     &specs.LinuxCPU{Quota: &quota, Period: &period},
		Pids:    &specs.LinuxPids{Limit: &pids},
	}
	if spec.Ahead {
		shares := uint64(aheadShares)
		res.CPU.Shares = &shares
	}
	if on.V2 || on.SwapLimit {
		// The limit of memory and swap together. Equal to that of memory, it means no swap.
		res.Memory.Swap = &memory
	}
	if on.V2 {
		// Out of memory, the kernel kills the whole sandbox. Version 1 has no such switch: see cgroup.OOMWatch.
		res.Unified = map[string]string{"memory.oom.group": "1"}
	}
	return res
}

func maskedPaths() []string {
	return []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/proc/kallsyms", "/proc/modules",
		"/sys/firmware", "/sys/devices/virtual/powercap",
	}
}

// readonlyPaths are the whole of /proc: a process could write to /proc/self/oom_score_adj, and have the kernel choose
// its neighbors before itself where the host's service has no CAP_SYS_RESOURCE to raise the least value.
func readonlyPaths() []string { return []string{"/proc"} }
