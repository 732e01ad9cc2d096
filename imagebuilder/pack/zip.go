package pack

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// A zip file says everything twice: in front of each entry, and in the directory at its end. Readers that disagree on
// which counts see two different archives, so none is accepted in which the two differ, and none that needs zip64.
//
// archive/zip unpacks the entries, and cannot make these checks: it does not say where an entry's own header is, it
// looks for a directory that is not where it should be, and it reads as many records as it finds, whatever their number
// is said to be. So the directory is read here first, and bounded.

const (
	zipLocalSignature, zipDirectorySignature, zipEndSignature = 0x04034b50, 0x02014b50, 0x06054b50
	zipLocalLength, zipDirectoryLength, zipEndLength          = 30, 46, 22
	zipEncrypted, zipStreamed                                 = 0x1, 0x8
)

// zipRecord is one record of the central directory.
type zipRecord struct {
	name             string
	flags, method    uint16
	size, compressed uint32
	checksum, offset uint32
}

func (u *unpacker) readZip(archive *io.SectionReader, size int64) error {
	records, directory, err := u.zipDirectory(archive, size)
	if err != nil {
		return err
	}
	if err := u.checkZipLayout(archive, records, directory); err != nil {
		return err
	}
	entries, err := zip.NewReader(archive, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // cleanName checks names
		return damaged(err)
	}
	if len(entries.File) != len(records) {
		return damage{errors.New("its directory can be read in two ways")}
	}
	for i, entry := range entries.File {
		if entry.Name != records[i].name {
			return damage{errors.New("its directory can be read in two ways")}
		}
		if err := u.takeZip(entry); err != nil {
			return err
		}
	}
	return nil
}

// zipDirectory reads the central directory, which must begin and end exactly where the end record says.
func (u *unpacker) zipDirectory(archive io.ReaderAt, size int64) (_ []zipRecord, start int64, err error) {
	end, endOffset, err := findZipEnd(archive, size)
	if err != nil {
		return nil, 0, err
	}
	count, length := binary.LittleEndian.Uint16(end[10:]), binary.LittleEndian.Uint32(end[12:])
	offset := binary.LittleEndian.Uint32(end[16:])
	switch {
	case count == 0xffff || length == 0xffffffff || offset == 0xffffffff:
		u.problem("", "is a zip64 file; use .tar.gz for a pack of this size")
		return nil, 0, errStop
	case int(count) > u.limits.Files:
		u.problem("", "has more than %d entries", u.limits.Files)
		return nil, 0, errStop
	case int64(offset)+int64(length) != endOffset || binary.LittleEndian.Uint16(end[8:]) != count:
		return nil, 0, damage{errors.New("its directory is not where it should be")}
	}
	directory := bufio.NewReader(io.NewSectionReader(archive, int64(offset), int64(length)))
	records := make([]zipRecord, 0, count)
	for range count {
		record, err := readZipRecord(directory)
		if err != nil {
			return nil, 0, damaged(err)
		}
		records = append(records, record)
	}
	if _, err := directory.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, 0, damage{errors.New("its directory has more entries than it says")}
	}
	return records, int64(offset), nil
}

// findZipEnd looks for the end record: the last bytes of the file, but for a comment.
func findZipEnd(archive io.ReaderAt, size int64) (end []byte, offset int64, err error) {
	tail := make([]byte, min(size, zipEndLength+0xffff))
	if _, err := archive.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, damaged(err)
	}
	for i := len(tail) - zipEndLength; i >= 0; i-- {
		if !isZipEnd(tail[i:]) {
			continue
		}
		if end != nil {
			return nil, 0, damage{errors.New("it has two directories")}
		}
		end, offset = tail[i:], size-int64(len(tail)-i)
	}
	switch {
	case end == nil:
		return nil, 0, damage{errors.New("it has no directory")}
	case bytes.Contains(end[zipEndLength:], binary.LittleEndian.AppendUint32(nil, zipEndSignature)):
		return nil, 0, damage{errors.New("its comment has another directory")} // some readers take the last one
	}
	return end, offset, nil
}

// isZipEnd reports whether the rest of a file can be an end record and its comment. bsdtar pads what it writes to a
// pipe.
func isZipEnd(rest []byte) bool {
	if binary.LittleEndian.Uint32(rest) != zipEndSignature {
		return false
	}
	end := zipEndLength + int(binary.LittleEndian.Uint16(rest[20:]))
	return end <= len(rest) && len(bytes.TrimLeft(rest[end:], "\x00")) == 0
}

func readZipRecord(directory *bufio.Reader) (zipRecord, error) {
	fixed := make([]byte, zipDirectoryLength)
	if _, err := io.ReadFull(directory, fixed); err != nil {
		return zipRecord{}, err
	}
	u16, u32 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32
	if u32(fixed) != zipDirectorySignature {
		return zipRecord{}, errors.New("its directory is garbled")
	}
	name := make([]byte, u16(fixed[28:]))
	if _, err := io.ReadFull(directory, name); err != nil {
		return zipRecord{}, err
	}
	if _, err := directory.Discard(int(u16(fixed[30:])) + int(u16(fixed[32:]))); err != nil {
		return zipRecord{}, err
	}
	return zipRecord{
		name: string(name), flags: u16(fixed[8:]), method: u16(fixed[10:]), checksum: u32(fixed[16:]),
		compressed: u32(fixed[20:]), size: u32(fixed[24:]), offset: u32(fixed[42:]),
	}, nil
}

// checkZipLayout compares each entry's own header with the directory, and refuses entries that share bytes.
func (u *unpacker) checkZipLayout(archive io.ReaderAt, records []zipRecord, directory int64) error {
	inOrder := slices.Clone(records)
	slices.SortFunc(inOrder, func(a, b zipRecord) int { return cmp.Compare(a.offset, b.offset) })
	free := int64(0)
	for _, r := range inOrder {
		if r.flags&zipEncrypted != 0 {
			u.problem(r.name, "is encrypted; pack it without a password")
			continue
		}
		if r.size == 0xffffffff || r.compressed == 0xffffffff || r.offset == 0xffffffff {
			u.problem(r.name, "is stored as zip64; use .tar.gz for a pack of this size")
			return errStop
		}
		local := make([]byte, zipLocalLength+len(r.name))
		if _, err := archive.ReadAt(local, int64(r.offset)); err != nil {
			return damaged(err)
		}
		end := int64(r.offset) + int64(len(local)) + int64(binary.LittleEndian.Uint16(local[28:])) + int64(r.compressed)
		switch {
		case !r.matches(local):
			u.problem(r.name, "is described in two different ways in the archive; pack it again")
		case int64(r.offset) < free || end > directory:
			u.problem(r.name, "shares its bytes with another entry; pack it again")
			return errStop
		}
		free = end
	}
	return nil
}

// matches compares a record of the directory with the header in front of the entry's bytes.
func (r zipRecord) matches(local []byte) bool {
	u16, u32 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32
	const flags = zipEncrypted | zipStreamed
	name, length := local[zipLocalLength:], int(u16(local[26:]))
	if u32(local) != zipLocalSignature || u16(local[6:])&flags != r.flags&flags || u16(local[8:]) != r.method ||
		length != len(r.name) || string(name) != r.name {
		return false
	}
	// A writer that streams writes 0 for what it does not know yet: often all three, sometimes not the size.
	agrees := func(here, there uint32) bool { return here == there || here == 0 && r.flags&zipStreamed != 0 }
	return agrees(u32(local[14:]), r.checksum) && agrees(u32(local[18:]), r.compressed) && agrees(u32(local[22:]), r.size)
}

// zipName is the path of an entry. Tools of Windows, such as PowerShell's Compress-Archive, separate folders by
// backslashes.
func zipName(entry *zip.File) (name string, absolute bool) {
	const fat, ntfs, vfat = 0, 10, 14
	name = entry.Name
	switch entry.CreatorVersion >> 8 {
	case fat, ntfs, vfat:
		name = strings.ReplaceAll(name, `\`, "/")
	default:
		return name, false
	}
	return name, len(name) > 1 && name[1] == ':'
}

func (u *unpacker) takeZip(entry *zip.File) (err error) {
	if err := u.count(); err != nil {
		return err
	}
	name, absolute := zipName(entry)
	dir := strings.HasSuffix(name, "/")
	mode := entry.Mode()
	switch {
	case absolute:
		return u.refuse(entry.Name, absoluteName)
	case mode&fs.ModeSymlink != 0:
		return u.refuse(entry.Name, symbolicLink)
	case mode&fs.ModeSetuid != 0 || !dir && mode&fs.ModeSetgid != 0:
		return u.refuse(entry.Name, setuidFile)
	case mode.Type()&^fs.ModeDir != 0 || mode.IsDir() && !dir:
		return u.refuse(entry.Name, specialFile)
	case dir && entry.UncompressedSize64 != 0:
		return u.refuse(entry.Name, "is a folder and has content")
	case entry.Method != zip.Store && entry.Method != zip.Deflate:
		return u.refuse(entry.Name, "is compressed in a way that is not supported; use deflate")
	}
	content, err := entry.Open()
	if err != nil {
		return damaged(fmt.Errorf("%s: %w", shown(entry.Name), err))
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	return u.take(packEntry{
		name: name, dir: dir, executable: mode&modeOwnerExecutes != 0,
		size: int64(min(entry.UncompressedSize64, 1<<62)), content: metered{u, content},
	})
}
