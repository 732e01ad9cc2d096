package hostcheck

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenFiles is the most files that a process of a sandbox can have open: as the kernel says, or as this process may,
// where it has no right to allow others more than itself.
func OpenFiles() (int64, error) {
	text, err := os.ReadFile("/proc/sys/fs/nr_open")
	if err != nil {
		return 0, fmt.Errorf("read the most open files: %w", err)
	}
	most, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the most open files: %w", err)
	}
	var capabilities [2]unix.CapUserData // of two words each
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &capabilities[0]); err != nil {
		return 0, fmt.Errorf("read own capabilities: %w", err)
	}
	if capabilities[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		return most, nil
	}
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		return 0, fmt.Errorf("read own limit of open files: %w", err)
	}
	return int64(min(uint64(most), own.Max)), nil
}
