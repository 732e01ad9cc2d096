package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/typeurl/v2"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/anypb"

	"attune"
)

// runscOptions is the type of what gVisor's shim reads from its configuration.
const runscOptions = "io.containerd.runsc.v1.options"

// runscConfig is the configuration of gVisor's shim for one sandbox, as TOML. The pipes belong to owner, who may then
// open them again through /proc/self/fd.
func runscConfig(runsc, root string, owner uint32) string {
	return fmt.Sprintf(`binary_name = %q
root = %q
io_uid = %d
io_gid = %d

[runsc_config]
platform = "systrap"
oci-seccomp = "true"
`, runsc, root, owner, owner)
}

// configureRunsc writes the configuration of gVisor's shim, and says where it is.
func (s *container) configureRunsc() (typeurl.Any, error) {
	text := runscConfig(s.runtimes[attune.RuntimeRunsc].command, s.config.containersDir(attune.RuntimeRunsc), s.idBase+nobody)
	if err := os.WriteFile(s.dir.runscConfig(), []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("configure runsc: %w", err)
	}
	told, err := typeurl.MarshalAny(&runtimeoptions.Options{TypeUrl: runscOptions, ConfigPath: s.dir.runscConfig()})
	if err != nil {
		return nil, fmt.Errorf("encode runtime options: %w", err)
	}
	return &anypb.Any{TypeUrl: told.GetTypeUrl(), Value: told.GetValue()}, nil
}

// sharedInRoot is where the root of gVisor's sandboxes has the files that they share with the host. Inside the sandbox,
// another file system covers it.
const sharedInRoot = "run"

// mountRoot mounts the root of a sandbox of gVisor, with the files that it shares with the host, and returns what its
// shim is to mount: the shim cannot map ids, and the processes of gVisor, which have the ids of the sandbox, cannot pass
// through the run directory.
func (s *container) mountRoot(rootfs []mount.Mount) ([]mount.Mount, error) {
	root, shared := s.dir.root(), s.dir.shared()
	if err := errors.Join(os.Mkdir(root, 0o711), os.Mkdir(shared, 0o711)); err != nil {
		return nil, fmt.Errorf("make folders of the root: %w", err)
	}
	for _, file := range []string{s.dir.result(), s.dir.failure(), s.dir.collected()} {
		if err := os.Link(file, filepath.Join(shared, filepath.Base(file))); err != nil {
			return nil, fmt.Errorf("share result file: %w", err)
		}
	}
	if err := mount.All(rootfs, root); err != nil {
		return nil, fmt.Errorf("mount root file system: %w", err)
	}
	if err := unix.Mount(shared, filepath.Join(root, sharedInRoot), "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("mount result files: %w", err)
	}
	return []mount.Mount{{Type: "bind", Source: root, Options: []string{"rbind"}}}, nil
}

// unmountRoot is idempotent.
func (s *container) unmountRoot(context.Context) error {
	if err := mount.UnmountRecursive(s.dir.root(), unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount root file system: %w", err)
	}
	return nil
}
