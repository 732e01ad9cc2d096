package imagebuilder

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"attune"
)

// makeUpper makes what an overlay leaves after a build in a user namespace.
func makeUpper(t *testing.T) string {
	t.Helper()
	upper := t.TempDir()
	if err := errors.Join(
		os.Mkdir(filepath.Join(upper, "dir"), 0o755),
		os.WriteFile(filepath.Join(upper, "dir/file"), []byte("x"), 0o600),
		os.Link(filepath.Join(upper, "dir/file"), filepath.Join(upper, "dir/same")),
		os.Symlink("/etc/shadow", filepath.Join(upper, "dir/link")),
		os.WriteFile(filepath.Join(upper, "su"), nil, 0o755),
		os.Mkdir(filepath.Join(upper, "fresh"), 0o700),
		unix.Setxattr(filepath.Join(upper, "fresh"), "trusted.overlay.opaque", []byte("y"), 0),
		unix.Mknod(filepath.Join(upper, "gone"), unix.S_IFCHR, 0),
	); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "dir", "dir/file", "dir/link", "su", "fresh"} {
		if err := os.Lchown(filepath.Join(upper, name), firstID, firstID+5); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(upper, "su"), 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	return upper
}

func TestTarUpper(t *testing.T) {
	t.Parallel()
	upper := makeUpper(t)
	if err := shiftOwners(upper, firstID); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tarUpper(t.Context(), &out, upper); err != nil {
		t.Fatal(err)
	}
	type entry struct {
		Type     byte
		Name     string
		Link     string
		Mode     int64
		UID, GID int
	}
	var got []entry
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entry{h.Typeflag, h.Name, h.Linkname, h.Mode, h.Uid, h.Gid})
	}
	want := []entry{
		{tar.TypeDir, "dir/", "", 0o755, 0, 5},
		{tar.TypeReg, "dir/file", "", 0o600, 0, 5},
		{tar.TypeSymlink, "dir/link", "/etc/shadow", 0o777, 0, 5},
		{tar.TypeLink, "dir/same", "dir/file", 0o600, 0, 5},
		{tar.TypeDir, "fresh/", "", 0o700, 0, 5},
		{tar.TypeReg, "fresh/.wh..wh..opq", "", 0, 0, 0},
		{tar.TypeReg, ".wh.gone", "", 0, 0, 0},
		{tar.TypeReg, "su", "", 0o4755, 0, 5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUpperRefuses(t *testing.T) {
	t.Parallel()
	device := makeUpper(t)
	if err := unix.Mknod(filepath.Join(device, "null"), unix.S_IFCHR, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	if err := tarUpper(t.Context(), io.Discard, device); err == nil {
		t.Error("a device was taken into a layer")
	}
	foreign := makeUpper(t)
	if err := os.Lchown(filepath.Join(foreign, "su"), 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := shiftOwners(foreign, firstID); err == nil {
		t.Error("a file of the host's root was taken into a layer")
	}
}

// The snapshot that a build leaves and the layer that was written from it must be the same files.
func TestLayerIsTheSnapshot(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	p := newPack("same", map[string]string{"wheels/greeter-1.5-py3-none-any.whl": wheel(t, "greeter", "1.5")})
	p.manifest.Dependencies.Python = &attune.LanguageDependencies{Packages: []string{"greeter"}}
	p.manifest.Dependencies.System = []string{"sl"}
	image, _ := mustBuild(t, b, p)
	ctx, done, err := b.lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := done(); err != nil {
			t.Error(err)
		}
	}()
	found, err := b.client.ImageService().Get(ctx, image.Name)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := b.readStack(ctx, found.Target)
	if err != nil {
		t.Fatal(err)
	}
	dependencies := layers[:len(layers)-1]
	below, top := dependencies[:len(dependencies)-1], dependencies[len(dependencies)-1]

	key := "unpacked-" + uuid.NewString()
	mounts, err := b.snapshots().Prepare(ctx, key, below.chainID())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.snapshots().Remove(ctx, key); err != nil {
			t.Error(err)
		}
	}()
	diff, err := b.client.DiffService().Apply(ctx, top.Blob, mounts)
	if err != nil {
		t.Fatal(err)
	}
	if diff.Digest != top.Diff.Digest {
		t.Errorf("unpacked to %s, recorded as %s", diff.Digest, top.Diff.Digest)
	}
	err = mount.WithReadonlyTempMount(ctx, mounts, func(unpacked string) error {
		return b.withView(ctx, dependencies, func(built string) error {
			if diff := cmp.Diff(listing(t, built), listing(t, unpacked)); diff != "" {
				t.Errorf("snapshot and layer differ (-snapshot +layer):\n%s", diff)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What lies deeper than a path can name must not go uncounted.
func TestDiskUsageOfDeepTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "flat"), make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := diskUsage(dir); got < 1<<16 || got > 1<<20 {
		t.Errorf("a small tree takes %d bytes", got)
	}
	name := strings.Repeat("d", 255)
	root, err := os.OpenRoot(dir)
	for depth := 0; depth < 20 && err == nil; depth++ {
		below := root
		err = below.Mkdir(name, 0o700)
		if err == nil {
			root, err = below.OpenRoot(name)
		}
		err = errors.Join(err, below.Close())
	}
	if err := errors.Join(err, root.Close()); err != nil {
		t.Fatal(err)
	}
	if got := diskUsage(dir); got < 1<<60 {
		t.Errorf("a tree with paths that are too long takes %d bytes", got)
	}
}

// listing describes each file of a tree, apart from the fractions of its time, which layers do not have.
func listing(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		link, _ := os.Readlink(path)
		stat := info.Sys().(*syscall.Stat_t)
		size := info.Size()
		if info.IsDir() {
			size = 0
		}
		files[path[len(root):]] = fmt.Sprint(info.Mode(), stat.Uid, stat.Gid, size, info.ModTime().Unix(), link)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
