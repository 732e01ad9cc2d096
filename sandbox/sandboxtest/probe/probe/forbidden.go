package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// call is a system call that must be refused whatever its arguments are.
type call struct {
	name   string
	number uintptr
	args   [3]uintptr
}

// calls are those that the deny-list names, and others that are of no use but to get out.
var calls = []call{
	{"io_uring_setup", unix.SYS_IO_URING_SETUP, [3]uintptr{1}}, {"io_uring_enter", unix.SYS_IO_URING_ENTER, [3]uintptr{}},
	{"io_uring_register", unix.SYS_IO_URING_REGISTER, [3]uintptr{}},
	{"keyctl", unix.SYS_KEYCTL, [3]uintptr{}},
	{"add_key", unix.SYS_ADD_KEY, [3]uintptr{}},
	{"request_key", unix.SYS_REQUEST_KEY, [3]uintptr{}},
	{"bpf", unix.SYS_BPF, [3]uintptr{}}, {"userfaultfd", unix.SYS_USERFAULTFD, [3]uintptr{}},
	{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, [3]uintptr{}},
	{"ptrace", unix.SYS_PTRACE, [3]uintptr{unix.PTRACE_TRACEME}},
	{"unshare user", unix.SYS_UNSHARE, [3]uintptr{unix.CLONE_NEWUSER}},
	{"unshare time", unix.SYS_UNSHARE, [3]uintptr{unix.CLONE_NEWTIME}},
	{"setns", unix.SYS_SETNS, [3]uintptr{}}, {"clone3", unix.SYS_CLONE3, [3]uintptr{}},
	{"chroot", unix.SYS_CHROOT, [3]uintptr{}}, {"pivot_root", unix.SYS_PIVOT_ROOT, [3]uintptr{}},
	{"mount", unix.SYS_MOUNT, [3]uintptr{}}, {"umount2", unix.SYS_UMOUNT2, [3]uintptr{}},
	{"mount_setattr", unix.SYS_MOUNT_SETATTR, [3]uintptr{}}, {"move_mount", unix.SYS_MOVE_MOUNT, [3]uintptr{}},
	{"open_tree", unix.SYS_OPEN_TREE, [3]uintptr{}}, {"fsopen", unix.SYS_FSOPEN, [3]uintptr{}},
	{"fsconfig", unix.SYS_FSCONFIG, [3]uintptr{}},
	{"fsmount", unix.SYS_FSMOUNT, [3]uintptr{}},
	{"fspick", unix.SYS_FSPICK, [3]uintptr{}},
	{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, [3]uintptr{}},
	{"kexec_load", unix.SYS_KEXEC_LOAD, [3]uintptr{}}, {"kexec_file_load", unix.SYS_KEXEC_FILE_LOAD, [3]uintptr{}},
	{"init_module", unix.SYS_INIT_MODULE, [3]uintptr{}}, {"finit_module", unix.SYS_FINIT_MODULE, [3]uintptr{}},
	{"delete_module", unix.SYS_DELETE_MODULE, [3]uintptr{}},
	{"reboot", unix.SYS_REBOOT, [3]uintptr{}},
	{"swapon", unix.SYS_SWAPON, [3]uintptr{}},
	{"swapoff", unix.SYS_SWAPOFF, [3]uintptr{}},
	{"acct", unix.SYS_ACCT, [3]uintptr{}},
	{"quotactl", unix.SYS_QUOTACTL, [3]uintptr{}},
	{"vhangup", unix.SYS_VHANGUP, [3]uintptr{}},
	{"settimeofday", unix.SYS_SETTIMEOFDAY, [3]uintptr{}}, {"clock_settime", unix.SYS_CLOCK_SETTIME, [3]uintptr{}},
	{"syslog", unix.SYS_SYSLOG, [3]uintptr{}}, {"fanotify_init", unix.SYS_FANOTIFY_INIT, [3]uintptr{}},
	{"sethostname", unix.SYS_SETHOSTNAME, [3]uintptr{}}, {"setdomainname", unix.SYS_SETDOMAINNAME, [3]uintptr{}},
	{"kcmp", unix.SYS_KCMP, [3]uintptr{}}, {"move_pages", unix.SYS_MOVE_PAGES, [3]uintptr{}},
}

var newNamespaces = map[string]uintptr{
	"mount": unix.CLONE_NEWNS, "uts": unix.CLONE_NEWUTS, "ipc": unix.CLONE_NEWIPC, "user": unix.CLONE_NEWUSER,
	"pid": unix.CLONE_NEWPID, "network": unix.CLONE_NEWNET, "cgroup": unix.CLONE_NEWCGROUP,
}

// tryCalls prints every call that was let through.
func tryCalls() int {
	for _, c := range calls {
		_, _, errno := unix.RawSyscall(c.number, c.args[0], c.args[1], c.args[2])
		if errno != unix.EPERM && errno != unix.ENOSYS {
			fmt.Println("allowed", c.name, errno)
		}
	}
	for name, flag := range newNamespaces {
		child, _, errno := unix.RawSyscall(unix.SYS_CLONE, flag|uintptr(unix.SIGCHLD), 0, 0)
		if errno == 0 && child == 0 {
			_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		if errno != unix.EPERM {
			fmt.Println("allowed clone with a new namespace:", name, errno)
		}
	}
	for name, family := range map[string]int{"AF_ALG": unix.AF_ALG, "AF_VSOCK": unix.AF_VSOCK} {
		allowed(name, func() error { return open(unix.Socket(family, unix.SOCK_STREAM, 0)) })
	}
	fmt.Println("tried")
	return 0
}

// tryPaths prints what of the kernel's and the host's could be read or written.
func tryPaths() int {
	for _, path := range []string{
		"/proc/kcore", "/proc/keys", "/proc/kallsyms",
		"/proc/modules", "/proc/timer_list", "/proc/interrupts", "/proc/1/root/etc/shadow",
		"/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda",
		"/dev/kvm", "/dev/fuse", "/dev/net/tun", "/sys/kernel", "/sys/fs/cgroup/cgroup.procs",
		"/run/containerd/containerd.sock", "/var/run/docker.sock",
	} {
		if content, err := os.ReadFile(path); err == nil && len(content) > 0 {
			fmt.Println("read", path)
		}
	}
	for _, path := range []string{
		"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname",
		"/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/proc/kcore",
		"/proc/irq/default_smp_affinity", "/proc/self/uid_map", "/proc/self/oom_score_adj", "/etc/resolv.conf", "/probe",
	} {
		if os.WriteFile(path, []byte("0"), 0) == nil {
			fmt.Println("written", path)
		}
	}
	// A descriptor that leaks from the host would be a way to its files.
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		fmt.Println(err)
	}
	for _, d := range descriptors {
		target, _ := os.Readlink("/proc/self/fd/" + d.Name())
		if strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "/proc/") {
			fmt.Println("inherited", target)
		}
	}
	fmt.Println("tried")
	return 0
}

// tryRights does one thing for each capability that an action could put to harm, and prints what worked.
func tryRights() int {
	file := "/tmp/rights"
	_ = os.WriteFile(file, []byte("#!/probe"), 0o600)
	allowed("chown", func() error { return unix.Chown(file, 0, 0) })
	allowed("dac_override", func() error {
		if err := unix.Chmod(file, 0); err != nil {
			return nil //nolint:nilerr // Without the file the question cannot be asked, which must show.
		}
		return open(unix.Open(file, unix.O_RDWR, 0))
	})
	allowed("setuid", func() error { return unix.Setuid(0) })
	allowed("setgid", func() error { return unix.Setgid(0) })
	allowed("setgroups", func() error { return unix.Setgroups([]int{0}) })
	allowed("setpcap", func() error { return unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_CHOWN, 0, 0, 0) })
	allowed("ambient", func() error {
		return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_ADMIN, 0, 0)
	})
	allowed("net_raw", func() error { return open(unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)) })
	allowed("packet socket", func() error { return open(unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)) })
	allowed("net_bind_service", func() error {
		listener, err := net.Listen("tcp", "127.0.0.1:80")
		if err == nil {
			_ = listener.Close()
		}
		return err
	})
	allowed("mknod", func() error { return unix.Mknod("/tmp/device", unix.S_IFBLK|0o600, int(unix.Mkdev(8, 0))) })
	allowed("sys_nice", func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -10) })
	allowed("sys_resource", func() error {
		return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	})
	allowed("setfcap", func() error { return unix.Setxattr(file, "security.capability", make([]byte, 20), 0) })
	allowed("new privileges", func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) })
	fmt.Println("tried")
	return 0
}

// allowed prints what did not fail.
func allowed(name string, try func() error) {
	if try() == nil {
		fmt.Println("allowed", name)
	}
}

// open closes what could be opened.
func open(fd int, err error) error {
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}
