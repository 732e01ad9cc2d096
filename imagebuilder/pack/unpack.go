package pack

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"attune"
	"attune/internal/size"
)

// maxArchiveProblems ends the reading of an archive with so many wrong entries.
const maxArchiveProblems = 50

// target is where the good entries of an archive go.
type target interface {
	makeFolder(name string) error
	create(name string, executable bool) (io.WriteCloser, error)
}

// unpacker checks the entries of an archive, whatever its format, and hands the good ones on.
type unpacker struct {
	ctx      context.Context // lives for one call of unpack
	to       target
	limits   Limits
	archived int64 // size of the archive
	unpacked int64 // bytes unpacked so far
	entries  int
	names    names
	files    []packFile
	problems []attune.Problem
}

// packEntry is one entry of an archive.
type packEntry struct {
	name       string
	dir        bool
	executable bool
	// size is what the archive claims; it is good for an early error only.
	size    int64
	content io.Reader
}

// errStop ends the reading of an archive; the reason is among the problems.
var errStop = errors.New("reading ends here")

// damage is an error of the archive, not of this host.
type damage struct{ error }

// unpack hands the files of an archive to a target. paths is the number of files and folders.
func unpack(
	ctx context.Context, file *os.File, to target, limits Limits,
) (files []packFile, paths int, err error) {
	info, err := file.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("look at archive: %w", err)
	}
	if info.Size() > limits.ArchiveBytes {
		return nil, 0, attune.Errorf(attune.CodeTooLarge, "the archive is larger than %s", size.Exact(limits.ArchiveBytes))
	}
	u := &unpacker{ctx: ctx, to: to, limits: limits, archived: info.Size(), names: names{}}
	err = u.read(io.NewSectionReader(file, 0, info.Size()), info.Size())
	var broken damage
	var local *fs.PathError
	switch {
	case ctx.Err() != nil:
		return nil, 0, context.Cause(ctx)
	case errors.As(err, &local) || (err != nil && !errors.Is(err, errStop) && !errors.As(err, &broken)):
		return nil, 0, fmt.Errorf("unpack archive: %w", err)
	case errors.As(err, &broken):
		u.problem("", "is damaged or cut off: %v", broken.error)
	}
	if len(u.problems) > 0 {
		return nil, 0, archiveError(u.problems...)
	}
	slices.SortFunc(u.files, func(a, b packFile) int { return cmp.Compare(a.name, b.name) })
	return u.files, len(u.names), nil
}

// read recognizes the format by the first bytes.
func (u *unpacker) read(archive *io.SectionReader, size int64) error {
	head := make([]byte, 4)
	n, err := archive.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return u.readZip(archive, size)
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return u.readGzip(bufio.NewReader(archive))
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return u.readZstd(archive)
	default:
		u.problem("", "is not a pack archive; it must be .zip, .tar.gz or .tar.zst")
		return errStop
	}
}

func (u *unpacker) problem(entry, format string, args ...any) {
	if entry == "" {
		format = "the archive " + format
	}
	u.problems = append(u.problems, attune.Problem{File: shown(entry), Message: fmt.Sprintf(format, args...)})
}

// count counts an entry, before anything of it is read.
func (u *unpacker) count() error {
	if u.entries++; u.entries > u.limits.Files {
		u.problem("", "has more than %d entries", u.limits.Files)
		return errStop
	}
	if len(u.problems) >= maxArchiveProblems {
		return errStop
	}
	return u.ctx.Err()
}

// refuse notes what is wrong with an entry and goes on with the next one.
func (u *unpacker) refuse(entry, format string, args ...any) error {
	u.problem(entry, format, args...)
	return nil
}

// take writes one entry, or notes what is wrong with it.
func (u *unpacker) take(e packEntry) error {
	name, wrong := cleanName(e.name, e.dir, u.limits)
	switch {
	case wrong != "":
		return u.refuse(e.name, "%s", wrong)
	case name == "." || skipped(name):
		return nil
	case e.size > u.limits.FileBytes:
		return u.refuse(name, "is larger than %s", size.Exact(u.limits.FileBytes))
	}
	if wrong := u.names.add(name, e.dir); wrong != "" {
		return u.refuse(name, "%s", wrong)
	}
	if len(u.names) > u.limits.Files {
		u.problem("", "has more than %d files and folders", u.limits.Files)
		return errStop
	}
	if len(u.problems) > 0 {
		return nil // the archive is refused already: the rest is checked, and not written
	}
	if e.dir {
		return u.to.makeFolder(name)
	}
	return u.write(name, e)
}

// write copies one file, as long as it stays within the limits.
func (u *unpacker) write(name string, e packEntry) (err error) {
	file, err := u.to.create(name, e.executable)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	n, err := io.Copy(file, io.LimitReader(e.content, u.limits.FileBytes+1))
	if err != nil {
		return err
	}
	if n > u.limits.FileBytes {
		u.problem(name, "is larger than %s", size.Exact(u.limits.FileBytes))
		return errStop
	}
	u.files = append(u.files, packFile{name: name, size: n, executable: e.executable})
	return nil
}

// folder is the target on disk.
type folder struct{ root *os.Root }

func (f folder) makeFolder(name string) error { return f.root.MkdirAll(name, 0o755) }

func (f folder) create(name string, executable bool) (io.WriteCloser, error) {
	if dir := path.Dir(name); dir != "." {
		if err := f.makeFolder(dir); err != nil {
			return nil, err
		}
	}
	mode := fs.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	return f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}

// metered counts the unpacked bytes and stops at the limit. Errors of the source are damage.
type metered struct {
	u      *unpacker
	source io.Reader
}

func (m metered) Read(p []byte) (int, error) {
	if err := m.u.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.source.Read(p)
	m.u.unpacked += int64(n)
	switch {
	case m.u.unpacked > m.u.limits.UnpackedBytes:
		m.u.problem("", "unpacks to more than %s", size.Exact(m.u.limits.UnpackedBytes))
		return 0, errStop
	case m.u.unpacked > ratioFloor && m.u.unpacked > m.u.archived*m.u.limits.Ratio:
		m.u.problem("", "unpacks to more than %d times its size", m.u.limits.Ratio)
		return 0, errStop
	case err != nil && !errors.Is(err, io.EOF):
		return n, damaged(err)
	}
	return n, err
}

// damaged marks an error as the archive's fault, unless reading was stopped or this host failed.
func damaged(err error) error {
	var local *fs.PathError
	ended := errors.Is(err, errStop) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if err == nil || ended || errors.As(err, &local) {
		return err
	}
	return damage{err}
}
