package imagebuilder

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/containerd/v2/pkg/rootfs"
	"github.com/opencontainers/go-digest"

	"attune"
	"attune/imagebuilder/pack"
	"attune/images"
)

// dependenciesLabel marks the blob of a dependency layer with the key of what it was made from.
const dependenciesLabel = "attune.dev/dependencies"

// Build makes the image of a pack. It reuses the layer of the same dependencies. The installers' output goes to log,
// line by line; phase is called at the beginning of each phase.
//
// An *attune.Error says in one sentence which step failed and why. A build that fails leaves nothing behind, nor does
// one whose ctx ends.
func (b *Builder) Build(ctx context.Context, archive *pack.Archive, log io.Writer,
	phase func(attune.InstallationPhase),
) (Image, error) {
	return b.build(ctx, archive.Manifest, archive.Root().FS(), log, phase)
}

func (b *Builder) build(
	ctx context.Context, m attune.Manifest, files fs.FS, log io.Writer, phase func(attune.InstallationPhase),
) (_ Image, err error) {
	ctx, done, err := b.lease(ctx)
	if err != nil {
		return Image{}, err
	}
	defer func() { err = errors.Join(err, done()) }()

	phase(attune.PhaseBase)
	base, err := b.ensureBase(ctx, log)
	if err != nil {
		return Image{}, err
	}
	phase(attune.PhaseDependencies)
	if err := checkRuntimes(b.definition, m.Dependencies); err != nil {
		return Image{}, err
	}
	layers, err := b.dependencyLayer(ctx, base, m, files, log)
	if err != nil {
		return Image{}, err
	}
	phase(attune.PhaseFiles)
	if layers, err = b.filesLayer(ctx, layers, files); err != nil {
		return Image{}, err
	}
	if err := b.checkFixedPaths(ctx, layers); err != nil {
		return Image{}, err
	}
	if err := b.checkCode(ctx, layers, m, log); err != nil {
		return Image{}, err
	}
	phase(attune.PhaseImage)
	target, err := b.writeImage(ctx, layers, nil)
	if err != nil {
		return Image{}, err
	}
	return b.namePackImage(ctx, m, target)
}

// dependencyLayer returns the base with the pack's dependencies on top.
func (b *Builder) dependencyLayer(ctx context.Context, base *baseImage, m attune.Manifest, files fs.FS,
	log io.Writer,
) (_ stack, err error) {
	wanted, err := readDependencies(m, files)
	if err != nil {
		return nil, err
	}
	if wanted.empty() {
		logf(log, "the pack has no dependencies")
		return base.layers, nil
	}
	key := wanted.layerKey(base.digest)
	if layer, found, err := b.findLayer(ctx, key); err != nil {
		return nil, err
	} else if found {
		logf(log, "dependencies unchanged, layer reused")
		return b.apply(ctx, base.layers, layer)
	}
	w, err := b.openWorkspace(ctx, base.layers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close(ctx)) }()
	limited, cancel := context.WithTimeoutCause(ctx, b.config.Limits.Time, errTimeLimit)
	defer cancel()
	if err := wanted.install(limited, w, files, log); err != nil {
		return nil, err
	}
	return w.commit(ctx, map[string]string{dependenciesLabel: key})
}

// findLayer looks up a dependency layer by its key. The lease of ctx then keeps it.
func (b *Builder) findLayer(ctx context.Context, key string) (_ rootfs.Layer, found bool, err error) {
	store := b.client.ContentStore()
	var blob content.Info
	err = store.Walk(ctx, func(info content.Info) error { blob = info; return nil },
		fmt.Sprintf("labels.%q==%s", dependenciesLabel, key))
	if err != nil {
		return rootfs.Layer{}, false, fmt.Errorf("look up dependency layer: %w", err)
	}
	diff, err := digest.Parse(blob.Labels[labels.LabelUncompressed])
	if err != nil {
		return rootfs.Layer{}, false, nil //nolint:nilerr // none found
	}
	kept, err := b.keepContent(ctx, blob.Digest)
	return layerOf(blob.Digest, blob.Size, diff), kept, err
}

// filesLayer lays the pack's own files on top.
func (b *Builder) filesLayer(ctx context.Context, below stack, files fs.FS) (stack, error) {
	layer, err := b.writeLayer(ctx, nil, func(out io.Writer) error {
		w := tar.NewWriter(out)
		return errors.Join(tarFiles(w, files, images.PackDir), w.Close())
	})
	if err != nil {
		return nil, err
	}
	return b.apply(ctx, below, layer)
}

// fixedPaths are the files and folders that the sandbox relies on or mounts on. Folders have a trailing slash.
var fixedPaths = []string{
	"/dev/", "/proc/", "/sys/", "/run/", "/tmp/", "/var/", "/var/tmp/", "/usr/", "/usr/bin/", "/usr/local/",
	"/usr/local/bin/", "/opt/", "/etc/", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf",
	images.Root + "/", images.PackDir + "/", images.VenvDir + "/", images.RunnerDir + "/", images.NodeDir + "/",
	images.RunnerDir + "/run.py", images.RunnerDir + "/run.mjs", images.RunnerDir + "/run.sh",
	images.RunnerDir + "/action.sh", images.RunnerDir + "/document.pl",
}

// checkFixedPaths refuses an image in which a fixed path is something else: a link there could redirect a mount.
func (b *Builder) checkFixedPaths(ctx context.Context, layers stack) error {
	return b.withView(ctx, layers, func(root string) error {
		for _, path := range fixedPaths {
			// The list has every parent folder before its content, so no link is followed.
			info, err := os.Lstat(root + strings.TrimSuffix(path, "/"))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("check image: %w", err)
			}
			isDir := strings.HasSuffix(path, "/")
			if err != nil || isDir != info.IsDir() || !isDir && !info.Mode().IsRegular() {
				return attune.Errorf(attune.CodeInvalid, "the dependencies replace %s, which belongs to the sandbox", path)
			}
		}
		return nil
	})
}
