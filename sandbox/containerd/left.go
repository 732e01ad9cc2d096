package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"attune/sandbox"
)

// errNotPlain: a sandbox left something else where the host looks for a plain file or a folder.
var errNotPlain = errors.New("not a plain file")

// openLeft opens a file or, with O_DIRECTORY, a folder beneath one that a sandbox could change. It follows no link and
// waits for nothing.
func openLeft(dir *os.File, name string, flags uint64) (*os.File, error) {
	fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{
		Flags:   flags | unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
	switch {
	// A link, a socket, a device, and a file where a folder should be.
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOTDIR):
		return nil, errNotPlain
	case err != nil:
		return nil, fmt.Errorf("open %q of a sandbox: %w", name, err)
	}
	file := os.NewFile(uintptr(fd), name)
	if flags&unix.O_DIRECTORY != 0 {
		return file, nil
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(errNotPlain, err, file.Close())
	}
	return file, nil
}

// openShared opens the folder that a sandbox shares with the host. The folders above it are the host's.
func (d runDir) openShared() (*os.File, error) {
	dir, err := os.OpenFile(d.shared(), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open what a sandbox left: %w", err)
	}
	return dir, nil
}

// readLeft reads what an ended sandbox left in one file, nil when that is nothing or the file is gone. Of a larger one,
// it reads one byte more than most.
func readLeft(dir *os.File, name string, most int64) ([]byte, error) {
	file, err := openLeft(dir, name, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at %s of a sandbox: %w", name, err)
	}
	if info.Size() == 0 {
		return nil, nil
	}
	text := make([]byte, min(info.Size(), most+1)) // its processes are gone: it does not grow
	if _, err := io.ReadFull(file, text); err != nil {
		return nil, fmt.Errorf("read %s of a sandbox: %w", name, err)
	}
	return text, nil
}

// tree lists what is below a folder that a sandbox could change.
type tree struct {
	outputs *sandbox.Outputs
	files   []plainFile
	entries int
}

// plainFile is a file that may be kept.
type plainFile struct {
	name string
	size int64
}

// readOutputs finds the output files below the folder that a sandbox shared. Their contents are read later. It takes
// time in proportion to their number, which the sandbox's file system bounds, and the host once more.
func (d runDir) readOutputs(ctx context.Context, shared *os.File, outputs *sandbox.Outputs) error {
	name := filepath.Base(sandbox.OutputDir)
	root, err := openLeft(shared, name, unix.O_DIRECTORY)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, errNotPlain):
		outputs.Drop("$ATTUNE_OUTPUT", "it is no folder any more")
		return nil
	case err != nil:
		return err
	}
	defer root.Close()
	found := tree{outputs: outputs}
	if err := found.list(ctx, root); err != nil {
		return err
	}
	slices.SortFunc(found.files, func(a, b plainFile) int { return strings.Compare(a.name, b.name) })
	for _, file := range found.files {
		outputs.Keep(file.name, file.size, leftFile{d, path.Join(name, file.name)})
	}
	return nil
}

// list goes through all folders below a root.
func (t *tree) list(ctx context.Context, root *os.File) error {
	for folders := []string{""}; len(folders) > 0; folders = folders[1:] {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list output files: %w", err)
		}
		below, err := t.folder(root, folders[0])
		if err != nil {
			return err
		}
		folders = append(folders, below...)
	}
	return nil
}

// folder adds the files of one folder, and returns the folders in it.
func (t *tree) folder(root *os.File, name string) (folders []string, err error) {
	dir, err := openLeft(root, cmp.Or(name, "."), unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(sandbox.MaxLeftFiles + 1 - t.entries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("list output files: %w", err)
	}
	if t.entries += len(names); t.entries > sandbox.MaxLeftFiles {
		t.outputs.Drop(cmp.Or(name, "."), fmt.Sprintf("no more than %d names are looked at", sandbox.MaxLeftFiles))
		return nil, nil
	}
	for _, entry := range names {
		var stat unix.Stat_t
		if err := unix.Fstatat(int(dir.Fd()), entry, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, fmt.Errorf("look at output file: %w", err)
		}
		switch below := path.Join(name, entry); {
		case stat.Mode&unix.S_IFMT == unix.S_IFDIR && len(below) < sandbox.MaxOutputName:
			folders = append(folders, below)
		case stat.Mode&unix.S_IFMT == unix.S_IFDIR:
			t.outputs.Drop(below, fmt.Sprintf("the names in this folder have more than %d bytes", sandbox.MaxOutputName))
		case stat.Mode&unix.S_IFMT != unix.S_IFREG:
			t.outputs.Drop(below, "it is not a plain file")
		case stat.Nlink != 1:
			t.outputs.Drop(below, "it has more than one name")
		default:
			t.files = append(t.files, plainFile{below, stat.Size})
		}
	}
	return folders, nil
}

// leftFile is a file in the folder that a sandbox shared. It is opened for each read, so that none stays open.
type leftFile struct {
	dir  runDir
	name string
}

// ReadAt implements io.ReaderAt.
func (f leftFile) ReadAt(p []byte, offset int64) (int, error) {
	shared, err := f.dir.openShared()
	if err != nil {
		return 0, err
	}
	defer shared.Close()
	file, err := openLeft(shared, f.name, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return file.ReadAt(p, offset)
}
