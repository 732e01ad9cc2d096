package imagebuilder

import (
	"context"
	"slices"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	// firstID is where the user namespace of build containers begins on the host, so that their root has no rights there.
	// It lies right below the range of the sandboxes. All builds use it, since they never share files.
	firstID = 1<<20 - idRange
	idRange = 1 << 16

	// inputsDir and outputDir are where a build container finds its inputs, and writes what is not part of the layer.
	inputsDir = "/run/attune/inputs"
	outputDir = "/run/attune/output"
	caBundle  = "/run/attune/ca-certificates.crt"
)

// packageCaps are what apt and dpkg need to give files their owners, inside the container's user namespace.
var packageCaps = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETGID", "CAP_SETUID"}

// step is one command of a build. Steps run one after the other on the same files, each in a container of its own.
type step struct {
	// name says what the step does, such as "installing Debian packages".
	name string
	args []string
	dir  string
	env  []string
	caps []string
	// online steps have a network.
	online bool
	// reading says how to read what the program prints.
	reading reading
}

// confinement is what the containers of all steps of a build have in common.
type confinement struct {
	id     string
	limits BuildLimits
	// limitSwap is false where the kernel cannot count swap.
	limitSwap bool
	binds     []specs.Mount
	// netns is the path of a network namespace; empty makes one without a connection.
	netns string
}

// buildSpec returns the specification of a step's container. It is a pure function of its arguments.
func buildSpec(namespace string, s step, c confinement) (*oci.Spec, error) {
	network := specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: c.netns}
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: firstID, Size: idRange}}
	env := append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/tmp", "LANG=C.UTF-8", "TERM=dumb",
		"SSL_CERT_FILE=" + caBundle, "REQUESTS_CA_BUNDLE=" + caBundle, "PIP_CERT=" + caBundle,
		"NODE_EXTRA_CA_CERTS=" + caBundle, "npm_config_cafile=" + caBundle,
	}, s.env...)
	ctx := namespaces.WithNamespace(context.Background(), namespace)
	container := &containers.Container{ID: c.id}
	spec := &oci.Spec{}
	err := oci.ApplyOpts(ctx, nil, container, spec,
		oci.WithDefaultSpec(),
		oci.WithProcessArgs(s.args...),
		oci.WithProcessCwd(s.dir),
		oci.WithEnv(env),
		oci.WithHostname("build"),
		oci.WithUserNamespace(ids, ids),
		oci.WithLinuxNamespace(network),
		oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace}),
		oci.WithCgroup("/attune-"+c.id),
		// Mounting sysfs takes a network namespace that belongs to the user namespace, and no build needs it.
		oci.WithoutMounts("/sys", "/sys/fs/cgroup"),
		oci.WithMounts(c.binds),
		oci.WithCapabilities(s.caps),
		oci.WithAmbientCapabilities(nil),
		oci.WithNoNewPrivileges,
		withLimits(c.limits, c.limitSwap),
		seccomp.WithDefaultProfile(), // reads the capabilities, so it comes behind them
		withoutTracing,
	)
	return spec, err
}

func withLimits(l BuildLimits, swap bool) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		const period = uint64(100_000)
		quota := int64(l.CPU * float64(period))
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: new(l.MemoryBytes)}
		if swap {
			s.Linux.Resources.Memory.Swap = new(l.MemoryBytes)
		}
		s.Linux.Resources.Pids = &specs.LinuxPids{Limit: new(l.Pids)}
		s.Linux.Resources.CPU = &specs.LinuxCPU{Period: new(period), Quota: &quota}
		// No file is larger than the disk, holes included.
		disk := uint64(max(l.DiskBytes, 0))
		s.Process.Rlimits = append(s.Process.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_CORE"},
			specs.POSIXRlimit{Type: "RLIMIT_FSIZE", Soft: disk, Hard: disk})
		// Inheritable capabilities would pass to programs that must not have them.
		s.Process.Capabilities.Inheritable = nil
		return nil
	}
}

// withoutTracing removes ptrace from the seccomp profile. The shim takes the stop of a traced first process for its
// end, and the build would wait forever for the end of the output.
func withoutTracing(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	for i, rule := range s.Linux.Seccomp.Syscalls {
		s.Linux.Seccomp.Syscalls[i].Names = slices.DeleteFunc(rule.Names, func(name string) bool { return name == "ptrace" })
	}
	return nil
}

// bind mounts a file or folder of the host. Nothing in it can be a device or gain privileges.
func bind(source, target string, options ...string) specs.Mount {
	return specs.Mount{
		Type:        "bind",
		Source:      source,
		Destination: target,
		Options:     slices.Concat([]string{"rbind", "nosuid", "nodev"}, options),
	}
}
