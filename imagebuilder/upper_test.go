package imagebuilder

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// The image must have what the steps of its build have seen.
func TestLayerIsWhatTheBuildSaw(t *testing.T) {
	t.Parallel()
	b := sharedBuilder(t)
	ctx, done, err := b.lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := done(); err != nil {
			t.Error(err)
		}
	}()
	base, err := b.ensureBase(ctx, testLog{t})
	if err != nil {
		t.Fatal(err)
	}
	const list = `cd /; find . -xdev ! -path ./run/\* ! -path ./tmp ! -path ./dev ! -path ./proc ! -path ./sys ` +
		`-printf '%p %M %U:%G %l' \( -type d -printf '\n' -o -printf ' %s\n' \) | sort`
	seen := func(layers stack, steps ...step) (text string, _ stack) {
		w, err := b.openWorkspace(ctx, layers)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := w.close(ctx); err != nil {
				t.Error(err)
			}
		}()
		for _, step := range steps {
			if err := w.run(ctx, step, testLog{t}); err != nil {
				t.Fatal(err)
			}
		}
		var output strings.Builder
		if err := w.run(ctx, step{name: "listing", args: []string{"/bin/bash", "-c", list}, dir: "/"}, &output); err != nil {
			t.Fatal(err)
		}
		top, err := w.commit(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		return output.String(), top
	}
	change := step{name: "changing", dir: "/", args: []string{"/bin/bash", "-c", `set -e
rm /etc/debian_version; rm -r /usr/share/common-licenses; mkdir -m 2750 /usr/share/common-licenses
touch /usr/share/common-licenses/x; ln /usr/share/common-licenses/x /opt/y; ln -s x /opt/z; chmod 4711 /opt/y`}}
	built, layers := seen(base.layers, aptStep("installing sl", "sl"), change)
	unpacked, _ := seen(layers)
	if diff := cmp.Diff(strings.Split(built, "\n"), strings.Split(unpacked, "\n")); diff != "" {
		t.Errorf("the image differs (-build +image):\n%s", diff)
	}
	if !strings.Contains(built, "/opt/y -rws--x--x 0:0") || strings.Contains(built, "debian_version") {
		t.Error("the step has not changed what it should have")
	}
}

// Holes take no space, but a layer and what is made of it has them.
func TestSizeOfALayer(t *testing.T) {
	t.Parallel()
	upper := makeUpper(t)
	if err := os.Truncate(filepath.Join(upper, "dir/file"), 600<<20); err != nil { // and its other name
		t.Fatal(err)
	}
	if err := checkSize(upper, 1<<30); err != nil {
		t.Error(err)
	}
	if err := os.Truncate(filepath.Join(upper, "su"), 600<<20); err != nil {
		t.Fatal(err)
	}
	err := checkSize(upper, 1<<30)
	if attune.CodeOf(err) != attune.CodeInvalid || !strings.Contains(err.Error(), "1 GiB") {
		t.Errorf("error is %v", err)
	}
}

func TestDeepFoldersAreRefused(t *testing.T) {
	t.Parallel()
	upper := makeUpper(t)
	name := strings.Repeat("d", 255)
	root, err := os.OpenRoot(upper)
	for depth := 0; depth < 20 && err == nil; depth++ {
		below := root
		if err = below.Mkdir(name, 0o700); err == nil {
			root, err = below.OpenRoot(name)
		}
		err = errors.Join(err, below.Close())
	}
	if err := errors.Join(err, root.Close()); err != nil {
		t.Fatal(err)
	}
	if err := checkSize(upper, 1<<30); attune.CodeOf(err) != attune.CodeInvalid {
		t.Errorf("error is %v", err)
	}
}
