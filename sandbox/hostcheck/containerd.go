package hostcheck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"golang.org/x/sys/unix"

	"attune/internal/size"
)

const containerdMend = "install containerd 2.0 or newer: `make deps` builds one, " +
	"and `attune up` runs it where ATTUNE_CONTAINERD_ADDRESS is not set"

const (
	// Snapshotter is containerd's snapshotter that has the layers of images.
	Snapshotter = "overlayfs"
	// runcShim is containerd's shim, which runs builds.
	runcShim       = "io.containerd.runc.v2"
	runcShimBinary = "containerd-shim-runc-v2"

	// probeTimeout bounds the first contact.
	probeTimeout = 10 * time.Second
)

// lookTimeout bounds the doctor's wait for a containerd that may not be there.
const lookTimeout = 3 * time.Second

// checkContainerd asks the containerd at the configured socket. Without a socket, there must be one for `attune up` to
// run.
func checkContainerd(ctx context.Context, config Config) Check {
	const name = "containerd"
	if config.Address == "" {
		path, err := FindTool(config.BinDir, name)
		if err != nil {
			return missing(name, "no socket is configured, and there is no containerd to run", containerdMend)
		}
		out, err := exec.CommandContext(ctx, path, "--version").Output()
		if err != nil {
			return missing(name, fmt.Sprintf("%s does not start: %v", path, err), containerdMend)
		}
		// "containerd github.com/containerd/containerd/v2 2.4.2 <revision>"
		fields := append(strings.Fields(string(out)), "", "", "")
		if err := checkContainerdVersion(fields[2]); err != nil {
			return missing(name, err.Error(), containerdMend)
		}
		if _, err := FindTool(config.BinDir, runcShimBinary); err != nil {
			return missing(name, path+" has no "+runcShimBinary+", which comes with it", containerdMend)
		}
		return fine(name, fields[2]+", "+path+", which `attune up` runs")
	}
	conn, err := client.New(config.Address, client.WithDefaultNamespace("attune"), client.WithTimeout(lookTimeout))
	if err != nil {
		return missing(name, fmt.Sprintf("no answer at %s: %v", config.Address, err),
			"start it, or set ATTUNE_CONTAINERD_ADDRESS to its socket")
	}
	defer func() { _ = conn.Close() }()
	runc, _ := FindTool(config.BinDir, "runc") // another check looks for it
	version, err := ProbeContainerd(ctx, conn, runc)
	if err != nil {
		return missing(name, err.Error(), containerdMend)
	}
	return fine(name, version+" at "+config.Address+", maps ids")
}

// ProbeContainerd checks containerd's version, what its snapshotter can do, and whether its shim accepts runc. It
// returns the version.
func ProbeContainerd(ctx context.Context, conn *client.Client, runc string) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	told, err := conn.Version(ctx)
	if err != nil {
		return "", fmt.Errorf("ask containerd for its version: %w", err)
	}
	if err := checkContainerdVersion(told.Version); err != nil {
		return "", err
	}
	can, err := conn.GetSnapshotterCapabilities(ctx, Snapshotter)
	if err != nil {
		return "", fmt.Errorf("ask containerd's %s snapshotter what it can do: %w", Snapshotter, err)
	}
	if !slices.Contains(can, "remap-ids") {
		return "", fmt.Errorf("containerd's %s snapshotter cannot map ids; it needs kernel 6.3 or newer "+
			"and a file system that supports it", Snapshotter)
	}
	if runc != "" {
		if _, err := conn.RuntimeInfo(ctx, runcShim, &options.Options{BinaryName: runc}); err != nil {
			return "", fmt.Errorf("have containerd's shim look at %s: %w", runc, err)
		}
	}
	return told.Version, nil
}

var majorVersion = regexp.MustCompile(`^v?(\d+)\.`)

// checkContainerdVersion looks at the first number only. Distributions add to the rest, and people build their own.
func checkContainerdVersion(text string) error {
	number := majorVersion.FindStringSubmatch(text)
	if number == nil {
		return nil
	}
	if major, err := strconv.Atoi(number[1]); err != nil || major < 2 {
		return fmt.Errorf("containerd %s knows no user namespaces; install 2.0 or newer", text)
	}
	return nil
}

const (
	// leastDisk is what the service keeps free for logs: with less it takes nothing from the queue.
	leastDisk = 128 << 20
	// enoughDisk has room for an image that is being built.
	enoughDisk = 2 << 30
)

// checkDisk looks at the file system of a folder, which may not exist yet.
func checkDisk(dir string) Check {
	const name = "disk"
	mend := "free space, or give --data-dir another file system"
	var stat unix.Statfs_t
	err := unix.Statfs(dir, &stat)
	for ; errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir); err = unix.Statfs(dir, &stat) {
		dir = filepath.Dir(dir)
	}
	if err != nil {
		return missing(name, fmt.Sprintf("cannot look at %s: %v", dir, err), mend)
	}
	free := stat.Bavail * uint64(stat.Bsize)
	return diskCheck(fmt.Sprintf("%s free below %s", size.About(int64(free)), dir), free, mend)
}

func diskCheck(found string, free uint64, mend string) Check {
	c := fine("disk", found)
	switch {
	case free < leastDisk:
		c.State, c.Mend = CheckMissing, mend
	case free < enoughDisk:
		c.State, c.Mend = CheckDegraded, mend
	}
	return c
}
