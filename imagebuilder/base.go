package imagebuilder

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"attune/images"
)

// baseImage is the lowest part of every pack image.
type baseImage struct {
	layers stack
	digest digest.Digest
}

// baseName is the name of the base image that this builder uses; it changes with everything the image is made from.
func (b *Builder) baseName() string {
	return basePrefix + hashOf([]any{b.definition, b.config.DebianMirror, b.runnersSum})
}

// EnsureBase makes the base image unless containerd has it. Its layers come from the cache folder; the first builder
// on a host makes them, which takes a minute or two. Progress goes to log.
func (b *Builder) EnsureBase(ctx context.Context, log io.Writer) (err error) {
	ctx, done, err := b.lease(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	_, err = b.ensureBase(ctx, log)
	return err
}

// ensureBase is EnsureBase under the caller's lease.
func (b *Builder) ensureBase(ctx context.Context, log io.Writer) (*baseImage, error) {
	b.baseMu.Lock()
	defer b.baseMu.Unlock()
	base, err := b.findBase(ctx)
	if errdefs.IsNotFound(err) {
		start := time.Now()
		base, err = b.makeBase(ctx, log)
		if err == nil {
			b.config.Log.Info("base image made", "image", b.baseName(), "took", time.Since(start))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("base image: %w", err)
	}
	return base, nil
}

// findBase returns the base image, which the lease of ctx then holds. Where a part is missing, the error is
// errdefs.ErrNotFound.
func (b *Builder) findBase(ctx context.Context) (*baseImage, error) {
	image, err := b.client.ImageService().Get(ctx, b.baseName())
	if err != nil {
		return nil, err
	}
	// With the manifest, the lease holds all parts.
	if kept, err := b.keepContent(ctx, image.Target.Digest); err != nil {
		return nil, err
	} else if !kept {
		return nil, fmt.Errorf("manifest of %s: %w", image.Name, errdefs.ErrNotFound)
	}
	layers, err := b.readStack(ctx, image.Target)
	if err != nil {
		return nil, err
	}
	return &baseImage{layers: layers, digest: image.Target.Digest}, nil
}

func (b *Builder) makeBase(ctx context.Context, log io.Writer) (*baseImage, error) {
	unlock, err := lockFile(ctx, filepath.Join(b.config.CacheDir, "base.lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	system, err := b.systemLayer(ctx, log)
	if err != nil {
		return nil, err
	}
	node, err := b.nodeLayer(ctx, system, log)
	if err != nil {
		return nil, err
	}
	runners, err := b.writeLayer(ctx, nil, func(w io.Writer) error { return tarRunners(w, b.definition) })
	if err != nil {
		return nil, err
	}
	layers, err := b.apply(ctx, node, runners)
	if err != nil {
		return nil, err
	}
	target, err := b.writeImage(ctx, layers, nil)
	if err != nil {
		return nil, err
	}
	if err := b.name(ctx, b.baseName(), target, map[string]string{ownerLabel: b.owner}); err != nil {
		return nil, err
	}
	return &baseImage{layers: layers, digest: target.Digest}, nil
}

// systemLayer is Debian with the definition's packages.
func (b *Builder) systemLayer(ctx context.Context, log io.Writer) (stack, error) {
	key := hashOf([]any{
		b.definition.Suite, b.definition.Packages, b.definition.Architecture, b.config.DebianMirror, b.definition.Revision,
	})
	produce := func(w io.Writer) error {
		logf(log, "base image: installing Debian %s with Python %s, once on this host", b.definition.Suite,
			b.definition.Python)
		return b.makeSystem(ctx, w, log)
	}
	return b.cachedLayer(ctx, nil, "debian-"+b.definition.Suite+"-"+key, produce, log)
}

// nodeLayer is Node.js and npm.
func (b *Builder) nodeLayer(ctx context.Context, below stack, log io.Writer) (stack, error) {
	key := hashOf([]any{b.definition.Node, b.definition.NPM, b.definition.Revision})
	produce := func(w io.Writer) error {
		logf(log, "base image: fetching Node.js %s, once on this host", b.definition.Node.Version)
		return b.makeNode(ctx, below, w, log)
	}
	return b.cachedLayer(ctx, below, "nodejs-"+b.definition.Node.Version+"-"+key, produce, log)
}

// cachedLayer adds a layer to a stack. The layer is made once and kept in the cache folder.
func (b *Builder) cachedLayer(ctx context.Context, below stack, name string, produce func(io.Writer) error,
	log io.Writer,
) (stack, error) {
	file, diff, err := openCached(b.config.CacheDir, name, produce)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	logf(log, "base image: unpacking %s", name)
	layer, err := b.storeLayer(ctx, nil, func(w io.Writer) (digest.Digest, error) {
		_, err := io.Copy(w, file)
		return diff, err // unpacking checks the digest
	})
	if err != nil {
		return nil, err
	}
	return b.apply(ctx, below, layer)
}

// tarRunners writes Attune's own layer: the runners, an empty virtual environment, the mount points of a sandbox with a
// read-only root, and the folders of manuals. Those have none, but Debian packages such as openjdk put links there.
func tarRunners(out io.Writer, definition images.Base) error {
	w := tar.NewWriter(out)
	python := "python" + definition.PythonMinor()
	dirs := []string{
		images.Root, images.PackDir, images.VenvDir, images.VenvDir + "/bin", images.VenvDir + "/lib",
		images.VenvDir + "/lib/" + python, images.VenvDir + "/lib/" + python + "/site-packages", "/usr/share/man",
	}
	for section := 1; section <= 8; section++ {
		dirs = append(dirs, fmt.Sprintf("/usr/share/man/man%d", section))
	}
	for _, dir := range dirs {
		header := tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755, ModTime: epoch}
		if err := w.WriteHeader(&header); err != nil {
			return err
		}
	}
	for _, link := range [][2]string{
		{"/bin/python3", "/usr/bin/python3"}, {"/bin/python", "python3"}, {"/bin/" + python, "python3"}, {"/lib64", "lib"},
	} {
		header := tar.Header{Typeflag: tar.TypeSymlink, Name: images.VenvDir[1:] + link[0], Linkname: link[1], Mode: 0o777,
			ModTime: epoch}
		if err := w.WriteHeader(&header); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		name, text string
		mode       int64
	}{
		{images.VenvDir + "/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\nversion = " +
			definition.Python + "\n", 0o644},
		{"/etc/hosts", "127.0.0.1 localhost attune\n::1 localhost\n", 0o644},
		{"/etc/hostname", "attune\n", 0o644},
		{"/etc/resolv.conf", "", 0o644},
		// Debian's packages ask this program before they start a service; an image starts none.
		{"/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755},
	} {
		header := tar.Header{Name: file.name[1:], Mode: file.mode, Size: int64(len(file.text)), ModTime: epoch}
		if err := w.WriteHeader(&header); err != nil {
			return err
		}
		if _, err := io.WriteString(w, file.text); err != nil {
			return err
		}
	}
	if err := tarFiles(w, images.Runners(), images.RunnerDir); err != nil {
		return err
	}
	return w.Close()
}

// logf writes a line of the build log. A build does not depend on its log, so errors are ignored.
func logf(log io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(log, format+"\n", args...) }
