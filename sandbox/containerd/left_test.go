package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"attune"
	"attune/sandbox"
)

// TestReadLeft: the file of a result may have become anything.
func TestReadLeft(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(path string) error
		want string
		size int
		err  error
	}{
		"nothing":   {func(string) error { return nil }, "", 0, nil},
		"gone":      {os.Remove, "", 0, nil},
		"text":      {func(path string) error { return os.WriteFile(path, []byte("{}"), 0) }, "{}", 2, nil},
		"too large": {func(path string) error { return os.Truncate(path, 60<<20) }, "", sandbox.MaxResultFileBytes + 1, nil},
		"link":      {replaced(func(path string) error { return os.Symlink("/etc/passwd", path) }), "", 0, errNotPlain},
		"dangling":  {replaced(func(path string) error { return os.Symlink("nothing", path) }), "", 0, errNotPlain},
		"folder":    {replaced(func(path string) error { return os.Mkdir(path, 0) }), "", 0, errNotPlain},
		"pipe":      {replaced(func(path string) error { return unix.Mkfifo(path, 0o600) }), "", 0, errNotPlain},
		"socket":    {replaced(func(path string) error { return unix.Mknod(path, unix.S_IFSOCK, 0) }), "", 0, errNotPlain},
		"device": {replaced(func(path string) error {
			return unix.Mknod(path, unix.S_IFCHR, int(unix.Mkdev(1, 5)))
		}), "", 0, errNotPlain},
	} {
		dir := someRunDir(t)
		if err := c.make(filepath.Join(string(dir), sandbox.ResultPath)); err != nil {
			t.Fatal(name, err)
		}
		shared, err := dir.openShared()
		if err != nil {
			t.Fatal(err)
		}
		got, err := readLeft(shared, "result", sandbox.MaxResultFileBytes)
		_ = shared.Close()
		if !errors.Is(err, c.err) || len(got) != c.size || c.want != "" && string(got) != c.want ||
			got != nil && c.size == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// replaced puts something else in the place of a file.
func replaced(put func(string) error) func(string) error {
	return func(path string) error { return errors.Join(os.Remove(path), put(path)) }
}

// outputsOf reads the output files of a run directory.
func outputsOf(ctx context.Context, t *testing.T, dir runDir) (sandbox.Outputs, error) {
	t.Helper()
	shared, err := dir.openShared()
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	var found sandbox.Outputs
	err = dir.readOutputs(ctx, shared, &found)
	return found, err
}

func TestReadOutputs(t *testing.T) {
	t.Parallel()
	dir := someRunDir(t)
	output := filepath.Join(string(dir), sandbox.OutputDir)
	write := func(name, content string) error { return os.WriteFile(filepath.Join(output, name), []byte(content), 0) }
	deep := strings.Repeat("d/", sandbox.MaxOutputName/2)
	err := errors.Join(
		write("b", "b"), os.Mkdir(output+"/deep", 0), write("deep/ü x", "two"), write(".hidden", ""), write("a\nb", ""),
		write("twice", ""), os.Link(output+"/twice", output+"/again"),
		os.Symlink("/etc", output+"/etc"), os.Symlink("/etc/passwd", output+"/passwd"),
		unix.Mkfifo(output+"/pipe", 0o600), unix.Mknod(output+"/socket", unix.S_IFSOCK, 0),
		write("sparse", ""), os.Truncate(output+"/sparse", 1<<62),
		os.MkdirAll(filepath.Join(output, deep, "dd/dd"), 0o700), write(deep+"f", "f"), write(deep+"dd/f", "f"),
	)
	if err != nil {
		t.Fatal(err)
	}
	found, err := outputsOf(t.Context(), t, dir)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, file := range found.Kept {
		content, err := io.ReadAll(file.Content)
		if err != nil {
			t.Error(err)
		}
		kept = append(kept, file.Name+"="+string(content))
	}
	if got, want := strings.Join(kept, " "), ".hidden= b=b "+deep+"f=f deep/ü x=two"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	reasons := make(map[string]string)
	for _, file := range found.NotKept {
		reasons[file.Name] = file.Reason
	}
	for name, want := range map[string]string{
		"twice": "more than one name", "again": "more than one name", "etc": "plain", "passwd": "plain", "pipe": "plain",
		"socket": "plain", "sparse": "64 MiB", `a\nb`: "control character", deep + "dd": "255 bytes",
	} {
		if !strings.Contains(reasons[name], want) {
			t.Errorf("%s is not kept for %q", name, reasons[name])
		}
	}
	if len(reasons) != 9 {
		t.Errorf("not kept: %v", reasons)
	}
}

// TestReadOutputsThatAreNoFolder: an action can put anything in the place of the folder.
func TestReadOutputsThatAreNoFolder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(path string) error
		want []attune.NotKept
	}{
		"gone": {os.Remove, nil},
		"link": {
			replaced(func(path string) error { return os.Symlink("/etc", path) }),
			[]attune.NotKept{{Name: "$ATTUNE_OUTPUT", Reason: "it is no folder any more"}},
		},
		"pipe": {
			replaced(func(path string) error { return unix.Mkfifo(path, 0o600) }),
			[]attune.NotKept{{Name: "$ATTUNE_OUTPUT", Reason: "it is no folder any more"}},
		},
	} {
		dir := someRunDir(t)
		if err := c.make(filepath.Join(string(dir), sandbox.OutputDir)); err != nil {
			t.Fatal(err)
		}
		found, err := outputsOf(t.Context(), t, dir)
		if err != nil || len(found.Kept) > 0 || fmt.Sprint(found.NotKept) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}

// TestReadOutputsIsBounded also where the file system does not bound what is in it.
func TestReadOutputsIsBounded(t *testing.T) {
	t.Parallel()
	dir := someRunDir(t)
	if err := unix.Mount("", dir.run(), "", unix.MS_REMOUNT, "nr_inodes=5000"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * sandbox.MaxLeftFiles {
		if err := os.WriteFile(filepath.Join(string(dir), sandbox.OutputDir, fmt.Sprint(i)), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	found, err := outputsOf(t.Context(), t, dir)
	if err != nil || len(found.Kept) > 0 || len(found.NotKept) != 1 || found.NotKept[0].Name != "." {
		t.Errorf("kept %d, not %v, %v", len(found.Kept), found.NotKept, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := outputsOf(ctx, t, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
}
