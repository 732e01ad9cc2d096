package hostcheck

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// Shim is the program that makes and keeps sandboxes.
const Shim = "attune-shim"

const runcMend = "install runc 1.2.8, 1.3.3, 1.4 or newer with seccomp: `make deps` builds one, " +
	"--bin-dir or ATTUNE_BIN_DIR says where it is"

func (m machine) checkRunc(ctx context.Context) Check {
	path, err := m.tool("runc")
	if err != nil {
		return missing("runc", "not found", runcMend)
	}
	version, err := checkRunc(ctx, path)
	if err != nil {
		return missing("runc", err.Error(), runcMend)
	}
	return fine("runc", version+" with seccomp, "+path)
}

// checkRunc asks runc, by the path that sandboxes use, for its version and features.
func checkRunc(ctx context.Context, runc string) (version string, err error) {
	out, err := exec.CommandContext(ctx, runc, "features").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its features: %w", runc, err)
	}
	var f features.Features
	if err := json.Unmarshal(out, &f); err != nil {
		return "", fmt.Errorf("read the features of %s: %w", runc, err)
	}
	version = f.Annotations["org.opencontainers.runc.version"]
	if err := checkRuncVersion(version); err != nil {
		return "", err
	}
	if f.Linux == nil || f.Linux.Seccomp == nil || f.Linux.Seccomp.Enabled == nil || !*f.Linux.Seccomp.Enabled {
		return "", fmt.Errorf("%s was built without seccomp", runc)
	}
	return version, nil
}

// checkRuncVersion refuses releases with the mount and procfs races of 2025.
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
		return fmt.Errorf("runc %s has known ways out of a container", text)
	}
	return nil
}

func (m machine) checkShim(ctx context.Context) Check {
	const mend = "lay attune-shim beside attune; `make deps build` builds both"
	path, err := m.tool(Shim)
	if err != nil {
		return missing(Shim, "not found", mend)
	}
	if err := exec.CommandContext(ctx, path, "-info").Run(); err != nil {
		return missing(Shim, fmt.Sprintf("%s does not start: %v", path, err), mend)
	}
	return fine(Shim, path)
}

// checkRunsc looks for gVisor, which only actions need that ask for it.
func (m machine) checkRunsc(ctx context.Context) Check {
	const name = "runsc"
	const mend = "install runsc: `make deps` builds one, or see https://gvisor.dev/docs/user_guide/install/"
	path, err := m.tool(name)
	if err != nil {
		return Check{Name: name, State: CheckAbsent, Found: "not installed; runc does without", Mend: mend}
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return Check{Name: name, State: CheckDegraded, Found: fmt.Sprintf("%s does not start: %v", path, err), Mend: mend}
	}
	return fine(name, strings.TrimPrefix(firstLine(string(out)), name+" version ")+", "+path)
}
