package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

const corePatternFile = "/proc/sys/kernel/core_pattern"

// probeHost looks for what sandboxes stand on. Everything that is missing is named, not only the first.
func probeHost(ctx context.Context, runc string) (cgroups, error) {
	groups, err := findCgroups()
	errs := []error{err}
	if os.Geteuid() != 0 {
		errs = append(errs, errors.New("sandboxes are made by root"))
	}
	errs = append(errs, checkCorePattern(corePatternFile), checkUserNamespaces(), checkRunc(ctx, runc))
	if err := errors.Join(errs...); err != nil {
		return cgroups{}, fmt.Errorf("this host cannot run sandboxes: %w", err)
	}
	return groups, nil
}

// checkCorePattern refuses a host that feeds core dumps to a program: that program runs as root outside of every
// sandbox, on input that the sandbox chose, and a limit on the core's size does not stop it.
func checkCorePattern(file string) error {
	pattern, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read core pattern: %w", err)
	}
	if text := strings.TrimSpace(string(pattern)); strings.HasPrefix(text, "|") || strings.HasPrefix(text, "@") {
		return fmt.Errorf("kernel.core_pattern is %q and hands core dumps to a program outside of the sandbox; "+
			"set it to a file name: sysctl -w kernel.core_pattern=core", text)
	}
	return nil
}

func checkUserNamespaces() error {
	text, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	if err != nil {
		return fmt.Errorf("the kernel has no user namespaces: %w", err)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || n == 0 {
		return errors.New("user namespaces are switched off: sysctl -w user.max_user_namespaces=65536")
	}
	return nil
}

// checkRunc asks the runtime that will be used, by its path, what it is and can do.
func checkRunc(ctx context.Context, runc string) error {
	out, err := exec.CommandContext(ctx, runc, "features").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its features: %w", runc, err)
	}
	var f features.Features
	if err := json.Unmarshal(out, &f); err != nil {
		return fmt.Errorf("read the features of %s: %w", runc, err)
	}
	if err := checkRuncVersion(f.Annotations["org.opencontainers.runc.version"]); err != nil {
		return err
	}
	if f.Linux == nil || f.Linux.Seccomp == nil || f.Linux.Seccomp.Enabled == nil || !*f.Linux.Seccomp.Enabled {
		return fmt.Errorf("%s was built without seccomp", runc)
	}
	return nil
}

// checkRuncVersion knows the first release of each line without the mount and procfs races of 2025.
func checkRuncVersion(text string) error {
	version, err := semver.NewVersion(text)
	if err != nil {
		return fmt.Errorf("runc version %q: %w", text, err)
	}
	least := "1.4.0"
	switch {
	case version.Major() == 1 && version.Minor() == 2:
		least = "1.2.8"
	case version.Major() == 1 && version.Minor() == 3:
		least = "1.3.3"
	}
	if version.LessThan(semver.MustParse(least)) {
		return fmt.Errorf("runc %s has known ways out of a container; install 1.2.8, 1.3.3, 1.4 or newer", text)
	}
	return nil
}

// findTool prefers the folder with our own binaries over the search path.
func findTool(binDir, name string) (string, error) {
	if binDir != "" {
		path := filepath.Join(binDir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s in %q or on the search path: %w", name, binDir, err)
	}
	return filepath.Abs(path)
}
