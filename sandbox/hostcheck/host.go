package hostcheck

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"attune/sandbox/containerd/cgroup"
	"attune/sandbox/containerd/network"
)

// machine is the host to look at.
type machine struct {
	proc, sys string
	// resolvConfs are the files where it may keep its resolvers.
	resolvConfs []string
	euid        int
	// tool returns the path of a program.
	tool func(name string) (string, error)
}

func thisMachine(binDir string) machine {
	return machine{
		proc: "/proc", sys: "/sys", resolvConfs: network.ResolvConfs(), euid: os.Geteuid(),
		tool: func(name string) (string, error) { return FindTool(binDir, name) },
	}
}

// checks makes all checks of what sandboxes need. A failed check does not stop the next: the report names all that is
// missing at once.
func (m machine) checks(ctx context.Context) []Check {
	return []Check{
		m.checkRoot(), m.checkKernel(), m.checkUserNamespaces(), m.checkSeccomp(), m.checkCgroups(), m.checkSwap(),
		m.checkKernelMemory(),
		m.checkCores(), m.checkAppArmor(), m.checkRunc(ctx), m.checkShim(ctx), m.checkRunsc(ctx),
		m.checkNetworkTools(ctx), m.checkBuilds(),
	}
}

func (m machine) read(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}

func (m machine) checkRoot() Check {
	if m.euid != 0 {
		return missing("root", fmt.Sprintf("user %d", m.euid), "run it as root: sudo attune …")
	}
	return fine("root", "yes")
}

// leastKernel is the first with idmapped mounts below overlay file systems.
var leastKernel = semver.MustParse("6.3.0")

func (m machine) checkKernel() Check {
	const name = "kernel"
	const mend = "install Linux 6.3 or newer, on Debian 12: apt-get install -t bookworm-backports linux-image-amd64"
	release, err := m.read(filepath.Join(m.proc, "sys/kernel/osrelease"))
	if err != nil {
		return missing(name, err.Error(), mend)
	}
	number, _, _ := strings.Cut(release, "-")
	version, err := semver.NewVersion(strings.TrimRight(number, "+"))
	if err != nil || version.LessThan(leastKernel) {
		return missing(name, release+" cannot map the ids of a sandbox's root", mend)
	}
	return fine(name, release)
}

func (m machine) checkUserNamespaces() Check {
	const name = "user namespaces"
	text, err := m.read(filepath.Join(m.proc, "sys/user/max_user_namespaces"))
	if err != nil {
		return missing(name, "the kernel has none", "boot a kernel with CONFIG_USER_NS=y")
	}
	if n, err := strconv.Atoi(text); err != nil || n <= 0 {
		return missing(name, "switched off", "sysctl -w user.max_user_namespaces=65536")
	}
	return fine(name, "at most "+text)
}

func (m machine) checkSeccomp() Check {
	const name, mend = "seccomp", "boot a kernel with CONFIG_SECCOMP_FILTER=y"
	actions, err := m.read(filepath.Join(m.proc, "sys/kernel/seccomp/actions_avail"))
	if err != nil || !strings.Contains(" "+actions+" ", " errno ") {
		return missing(name, "the kernel cannot filter system calls", mend)
	}
	return fine(name, "filters system calls")
}

func (m machine) checkCores() Check {
	const name = "core dumps"
	file := filepath.Join(m.proc, "sys/kernel/core_pattern")
	if err := checkCorePattern(file); err != nil {
		return missing(name, err.Error(), "sysctl -w kernel.core_pattern=core")
	}
	pattern, _ := m.read(file)
	return fine(name, fmt.Sprintf("go to a file (%q), and sandboxes write none", pattern))
}

// CorePattern fails on a host that feeds core dumps to a program. Look checks it, too, but the pattern can change at
// any time.
func CorePattern() error { return checkCorePattern("/proc/sys/kernel/core_pattern") }

// checkCorePattern fails on a host that feeds core dumps to a program. That program runs as root outside of every
// sandbox, on input that the sandbox chose, and a limit on the size of cores does not stop it.
func checkCorePattern(file string) error {
	pattern, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read core pattern: %w", err)
	}
	if text := strings.TrimSpace(string(pattern)); strings.HasPrefix(text, "|") || strings.HasPrefix(text, "@") {
		return fmt.Errorf("kernel.core_pattern is %q and hands core dumps to a program outside of the sandbox", text)
	}
	return nil
}

func (m machine) checkCgroups() Check {
	const name = "cgroups"
	groups, err := cgroup.Find(filepath.Join(m.sys, "fs/cgroup"))
	switch {
	case err != nil:
		return missing(name, err.Error(), "boot with the cpu, memory and pids controllers: "+
			"cgroup_enable=memory on the kernel's command line, and no cgroup_disable=")
	case groups.V2:
		return fine(name, "version 2 with cpu, memory and pids")
	default:
		return fine(name, "version 1 with cpu, memory, pids, freezer and devices")
	}
}

// checkSwap matters on version 1, where the kernel may have been built or booted without a limit on swap.
func (m machine) checkSwap() Check {
	const name = "swap limit"
	groups, err := cgroup.Find(filepath.Join(m.sys, "fs/cgroup"))
	if err == nil && (groups.V2 || groups.SwapLimit) {
		return fine(name, "memory and swap are limited together")
	}
	if swaps, err := m.read(filepath.Join(m.proc, "swaps")); err == nil && strings.Count(swaps, "\n") == 0 {
		return fine(name, "there is no swap")
	}
	return Check{
		Name: name, State: CheckDegraded, Found: "memory is limited, and swap beyond it is not", lacks: "swap-limit",
		Mend: "swapoff -a, or boot with swapaccount=1",
	}
}

// checkKernelMemory looks whether what the kernel keeps for a sandbox counts: pipes, sockets, timers, page tables.
func (m machine) checkKernelMemory() Check {
	const name = "kernel memory"
	lacking := Check{Name: name, State: CheckDegraded, lacks: "kernel-memory-limit"}
	boot, _ := m.read(filepath.Join(m.proc, "cmdline"))
	for _, word := range strings.Fields(boot) {
		if options, given := strings.CutPrefix(word, "cgroup.memory="); given &&
			(strings.Contains(options, "nokmem") || strings.Contains(options, "nosocket")) {
			lacking.Found, lacking.Mend = word+": memory of the kernel is not limited", "boot without "+word
			return lacking
		}
	}
	groups, err := cgroup.Find(filepath.Join(m.sys, "fs/cgroup"))
	switch {
	case err != nil || groups.V2:
		return fine(name, "counts as memory")
	case groups.SocketLimit:
		return fine(name, "counts as memory, but for the buffers of sockets, which have a quarter as much of their own")
	default:
		lacking.Found = "the buffers of sockets are not limited"
		lacking.Mend = "boot with cgroup version 2: systemd.unified_cgroup_hierarchy=1"
		return lacking
	}
}

// checkNetworkTools looks for what `network: egress` and builds need. All else runs without.
func (m machine) checkNetworkTools(ctx context.Context) Check {
	const name = "egress network"
	var lacking []string
	for _, tool := range []string{"nft", "ip", "bridge", "host-local"} {
		if _, err := m.tool(tool); err != nil {
			lacking = append(lacking, tool)
		}
	}
	if len(lacking) > 0 {
		return Check{
			Name: name, State: CheckDegraded,
			Found: "no " + strings.Join(lacking, ", no ") + ": builds and actions with network: egress fail",
			Mend:  "apt-get install nftables iproute2; `make deps` builds the CNI plugins bridge and host-local",
		}
	}
	if resolvers, _ := network.Resolvers(m.resolvConfs); len(resolvers) == 0 {
		return Check{
			Name: name, State: CheckDegraded,
			Found: "no name server but on loopback: builds and actions with network: egress know no names",
			Mend:  "name one in /etc/resolv.conf that others than this host's own programs can ask, by IPv4",
		}
	}
	version := "nft"
	if nft, err := m.tool("nft"); err == nil {
		if out, err := exec.CommandContext(ctx, nft, "--version").Output(); err == nil {
			version = firstLine(string(out))
		}
	}
	return fine(name, version+", ip, CNI plugins bridge and host-local")
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}

// FindTool returns the path of a program. It looks in binDir, beside this program, and on the search path, in this
// order.
func FindTool(binDir, name string) (string, error) {
	folders := []string{binDir}
	if self, err := os.Executable(); err == nil {
		folders = append(folders, filepath.Dir(self))
	}
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil && folder != "" {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s in %q, beside this program or on the search path: %w", name, binDir, err)
	}
	return filepath.Abs(path)
}
