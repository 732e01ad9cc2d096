package measure

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine describes the host in one line.
func Machine() (string, error) {
	var name unix.Utsname
	var info unix.Sysinfo_t
	if err := unix.Uname(&name); err != nil {
		return "", fmt.Errorf("read the kernel's version: %w", err)
	}
	if err := unix.Sysinfo(&info); err != nil {
		return "", fmt.Errorf("read the size of the memory: %w", err)
	}
	kernel, _, _ := bytes.Cut(name.Release[:], []byte{0})
	return fmt.Sprintf("%s, %d processors, %.1f GiB of memory, Linux %s, %s",
		processor(), runtime.NumCPU(), float64(info.Totalram)*float64(info.Unit)/(1<<30), kernel, runtime.Version()), nil
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// ModuleVersion is the version of a module that this program was built with.
func ModuleVersion(path string) string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	return "unknown"
}
