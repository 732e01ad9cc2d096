package pack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func regular(name, text string) tarEntry {
	return tarEntry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, text}
}

// The numbers are those of the adversarial cases that every release is held against.
func TestHostileTar(t *testing.T) {
	t.Parallel()
	special := func(kind byte, name, link string) []tarEntry {
		return []tarEntry{{tar.Header{Typeflag: kind, Name: name, Linkname: link, Mode: 0o644}, ""}}
	}
	mode := func(kind byte, mode int64) []tarEntry {
		return []tarEntry{{tar.Header{Typeflag: kind, Name: "x", Mode: mode}, ""}}
	}
	for name, test := range map[string]struct {
		entries []tarEntry
		want    string
	}{
		"1 parent":             {[]tarEntry{regular("../x", "x")}, `../x: has ".." in its name`},
		"1 parent inside":      {[]tarEntry{regular("actions/../../x", "x")}, `has ".." in its name`},
		"1 parent at the end":  {special(tar.TypeDir, "actions/..", ""), `has ".." in its name`},
		"1 absolute":           {[]tarEntry{regular("/etc/x", "x")}, "/etc/x: has an absolute name"},
		"1 backslash":          {[]tarEntry{regular(`..\x`, "x")}, "has a backslash"},
		"1 dot":                {[]tarEntry{regular("actions/./x", "x")}, `has an empty part or "."`},
		"1 empty part":         {[]tarEntry{regular("actions//x", "x")}, `has an empty part or "."`},
		"1 folder at the root": {special(tar.TypeDir, "/", ""), "has an absolute name"},
		"1 long name":          {[]tarEntry{regular(strings.Repeat("x/", 10)+strings.Repeat("y", 600), "x")}, "has a name of more than 512 bytes"},
		"1 long part":          {[]tarEntry{regular(strings.Repeat("y", 300), "x")}, "has a part of more than 255 bytes"},
		"1 deep":               {[]tarEntry{regular(strings.Repeat("d/", 40)+"x", "x")}, "is more than 32 folders deep"},
		"2 symlink": {
			[]tarEntry{{tar.Header{Typeflag: tar.TypeSymlink, Name: "out", Linkname: "/tmp"}, ""}, regular("out/x", "x")}, "out: is a symbolic link",
		},
		"3 hard link":         {special(tar.TypeLink, "out", "/etc/passwd"), "out: is a hard link"},
		"4 device":            {special(tar.TypeChar, "x", ""), "x: is a device"},
		"4 block device":      {special(tar.TypeBlock, "x", ""), "x: is a device"},
		"4 FIFO":              {special(tar.TypeFifo, "x", ""), "x: is a device, a pipe"},
		"4 contiguous":        {special(tar.TypeCont, "x", ""), "x: is a device"},
		"4 setuid":            {mode(tar.TypeReg, 0o4755), "x: has the setuid"},
		"4 setgid":            {mode(tar.TypeReg, 0o2755), "x: has the setuid"},
		"4 setuid folder":     {mode(tar.TypeDir, 0o4755), "x: has the setuid"},
		"9 twice":             {[]tarEntry{regular("x", "1"), regular("x", "2")}, "x: is in the archive twice"},
		"9 case":              {[]tarEntry{regular("X", "1"), regular("x", "2")}, `x: has the same name as "X"`},
		"9 case of a folder":  {[]tarEntry{regular("Lib/a", "1"), regular("lib/b", "2")}, `lib/b: has the same name as "Lib"`},
		"9 composition":       {[]tarEntry{regular("\u00e9", "1"), regular("e\u0301", "2")}, "has the same name as"},
		"9 case folding":      {[]tarEntry{regular("STRASSE", "1"), regular("stra\u00dfe", "2")}, "has the same name as"},
		"9 file, then folder": {[]tarEntry{regular("x", "1"), regular("x/y", "2")}, "x/y: is a file and a folder at once"},
		"9 folder, then file": {[]tarEntry{regular("x/y", "1"), regular("x", "2")}, "x: is a file and a folder at once"},
		"9 not UTF-8":         {[]tarEntry{{tar.Header{Typeflag: tar.TypeReg, Name: "\xff", Format: tar.FormatGNU}, "x"}}, "has a name that is not UTF-8"},
		"9 line break":        {[]tarEntry{regular("x\ny", "x")}, "has a name with a control character"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := tarBytes(t, append(tarOf(weather), test.entries...)...)
			_, err := open(t, gzipped(t, data), DefaultLimits())
			assertRefused(t, err, test.want)
			_, err = open(t, zstdOf(t, data), DefaultLimits())
			assertRefused(t, err, test.want)
		})
	}
}

// 1: a PAX record renames an entry whose own name is harmless.
func TestPAXName(t *testing.T) {
	t.Parallel()
	data := tarBytes(t, regular("../"+strings.Repeat("é", 60), "x"))
	_, err := open(t, gzipped(t, data), DefaultLimits())
	assertRefused(t, err, `has ".." in its name`)
}

// 5: what comes out is counted while it comes, and not kept.
func TestBombs(t *testing.T) {
	t.Parallel()
	const size = 40 << 20
	var gz, zst bytes.Buffer
	g, gzErr := gzip.NewWriterLevel(&gz, gzip.BestSpeed)
	z, zstErr := zstd.NewWriter(&zst, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err := errors.Join(gzErr, zstErr); err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		archive := tar.NewWriter(w)
		if err := archive.WriteHeader(&tar.Header{Name: "zeros", Size: size}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(archive, zeros{}, size); err != nil {
			t.Fatal(err)
		}
		if err := archive.Close(); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	small := DefaultLimits()
	small.Ratio, small.UnpackedBytes = 1<<40, 36<<20
	one := DefaultLimits()
	one.FileBytes = 10 << 20
	for _, test := range []struct {
		name, want string
		data       []byte
		limits     Limits
	}{
		{"gzip ratio", "unpacks to more than 200 times its size", gz.Bytes(), DefaultLimits()},
		{"zstd ratio", "unpacks to more than 200 times its size", zst.Bytes(), DefaultLimits()},
		{"gzip size", "unpacks to more than 36 MiB", gz.Bytes(), small},
		{"zstd size", "unpacks to more than 36 MiB", zst.Bytes(), small},
		{"zip ratio", "unpacks to more than 200 times its size", zipBytes(t, map[string]string{"zeros": strings.Repeat("\x00", size)}, nil), DefaultLimits()},
		{"one file", "zeros: is larger than 10 MiB", gz.Bytes(), one},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := open(t, test.data, test.limits)
		runtime.ReadMemStats(&after)
		assertRefused(t, err, test.want)
		if used := after.HeapSys - min(after.HeapSys, before.HeapSys); used > 64<<20 {
			t.Errorf("%s: the heap grew by %d MiB", test.name, used>>20)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// 5: a zstd frame may ask for a window of gigabytes before it has sent one byte.
func TestZstdWindow(t *testing.T) {
	t.Parallel()
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8} // a window of 2 GiB
	_, err := open(t, append(frame, make([]byte, 100)...), DefaultLimits())
	assertRefused(t, err, "damaged or cut off")
}

// 7: entries count, also those that are empty or skipped.
func TestManyEntries(t *testing.T) {
	t.Parallel()
	limits := DefaultLimits()
	limits.Files = 100
	entries, files := tarOf(weather), with(weather)
	for i := range 200 {
		entries = append(entries, regular(fmt.Sprintf("empty/._%d", i), ""))
		files[fmt.Sprintf("empty/%d", i)] = ""
	}
	_, err := open(t, gzipped(t, tarBytes(t, entries...)), limits)
	assertRefused(t, err, "has more than 100 entries")
	_, err = open(t, zipBytes(t, files, nil), limits)
	assertRefused(t, err, "has more than 100 entries")
}

// 8: a map of holes lets a few bytes stand for terabytes.
func TestSparse(t *testing.T) {
	t.Parallel()
	// The writer drops these records, so they are written under another name first.
	pax := tarBytes(t, tarEntry{tar.Header{Typeflag: tar.TypeReg, Name: "x", Format: tar.FormatPAX, PAXRecords: map[string]string{
		"GNV.sparse.major": "0", "GNV.sparse.minor": "1", "GNV.sparse.name": "x", "GNV.sparse.size": "1099511627776",
		"GNV.sparse.map": "0,4", "GNV.sparse.numblocks": "1",
	}}, "data"})
	pax = bytes.ReplaceAll(pax, []byte("GNV.sparse"), []byte("GNU.sparse"))
	_, err := open(t, gzipped(t, pax), DefaultLimits())
	assertRefused(t, err, "x: is stored as a sparse file")

	old := tarBytes(t, tarEntry{tar.Header{Typeflag: tar.TypeReg, Name: "x", Format: tar.FormatGNU}, "data"})
	old[156] = tar.TypeGNUSparse
	copy(old[483:], "00000002000\x00") // real size
	sum := 0
	copy(old[148:156], "        ")
	for _, b := range old[:512] {
		sum += int(b)
	}
	copy(old[148:156], fmt.Sprintf("%06o\x00 ", sum))
	_, err = open(t, gzipped(t, old), DefaultLimits())
	assertRefused(t, err, "x: is stored as a sparse file")
}

func TestHostileZip(t *testing.T) {
	t.Parallel()
	named := func(name string) []byte { return zipBytes(t, with(weather, name, "x"), nil) }
	moded := func(mode os.FileMode) []byte {
		return zipBytes(t, with(weather, "x", "target"), func(h *zip.FileHeader) {
			if h.Name == "x" {
				h.SetMode(mode)
			}
		})
	}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"1 parent":    {named("../x"), `has ".." in its name`},
		"1 absolute":  {named("/x"), "has an absolute name"},
		"1 backslash": {named(`a\x`), "has a backslash"},
		"1 drive":     {named(`C:\x`), "has a backslash"},
		"2 symlink":   {moded(os.ModeSymlink | 0o777), "x: is a symbolic link"},
		"4 device":    {moded(os.ModeDevice | 0o644), "x: is a device"},
		"4 FIFO":      {moded(os.ModeNamedPipe | 0o644), "x: is a device, a pipe"},
		"4 setuid":    {moded(os.ModeSetuid | 0o755), "x: has the setuid"},
		"9 NUL":       {named("x\x00y"), "has a name with a control character"},
		"9 not UTF-8": {named("\xff"), "has a name that is not UTF-8"},
		"9 case":      {zipBytes(t, with(weather, "X", "1", "x", "2"), nil), "has the same name as"},
		"9 folder":    {zipBytes(t, with(weather, "x", "1", "x/y", "2"), nil), "is a file and a folder at once"},
		"encrypted":   {patchZip(t, func(z zipParts) { z.local[6] |= 1; z.directory[8] |= 1 }), "is encrypted"},
		"10 encrypted in one place": {
			patchZip(t, func(z zipParts) { z.local[6] |= 1 }), "is described in two different ways",
		},
		"10 name":      {patchZip(t, func(z zipParts) { z.local[30] = 'z' }), "is described in two different ways"},
		"10 method":    {patchZip(t, func(z zipParts) { z.local[8] = 0 }), "is described in two different ways"},
		"10 size":      {patchZip(t, func(z zipParts) { binary.LittleEndian.PutUint32(z.local[22:], 5) }), "is described in two different ways"},
		"10 streamed":  {patchZip(t, func(z zipParts) { z.local[6] &^= 8 }), "is described in two different ways"},
		"10 count":     {patchZip(t, func(z zipParts) { z.end[10]++; z.end[8]++ }), "damaged"},
		"10 fewer":     {patchZip(t, func(z zipParts) { z.end[10]--; z.end[8]-- }), "damaged"},
		"10 place":     {patchZip(t, func(z zipParts) { z.end[16]++ }), "damaged"},
		"10 checksum":  {patchZip(t, func(z zipParts) { z.directory[16] ^= 1 }), "damaged"},
		"10 real size": {patchZip(t, func(z zipParts) { z.directory[24]++ }), "damaged"},
		"10 no header": {patchZip(t, func(z zipParts) { z.local[0] = 'X' }), ""},
		"zip64 count":  {patchZip(t, func(z zipParts) { copy(z.end[8:], "\xff\xff\xff\xff") }), "is a zip64 file"},
		"zip64 entry":  {patchZip(t, func(z zipParts) { copy(z.directory[20:], "\xff\xff\xff\xff") }), "is stored as zip64"},
		"6 overlap": {patchZip(t, func(z zipParts) {
			copy(z.second[42:46], z.directory[42:46]) // the second entry's bytes are the first's
		}), ""},
		"before its bytes": {append([]byte("PK\x03\x04 in front"), zipBytes(t, weather, nil)...), "damaged"},
		"other method":     {patchZip(t, func(z zipParts) { z.local[8], z.directory[10] = 93, 93 }), "compressed in a way that is not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := open(t, test.data, DefaultLimits())
			assertRefused(t, err, test.want)
		})
	}
}

// 6: many entries of the directory share the bytes of one, as in the well-known bomb of 42 kB.
func TestOverlappingZip(t *testing.T) {
	t.Parallel()
	data := zipBytes(t, map[string]string{"a": strings.Repeat("x", 1000)}, nil)
	start := bytes.Index(data, []byte("PK\x01\x02"))
	end := bytes.Index(data, []byte("PK\x05\x06"))
	record := data[start:end]
	both := append(bytes.Clone(data[:end]), record...)
	tail := bytes.Clone(data[end:])
	tail[8], tail[10] = 2, 2
	binary.LittleEndian.PutUint32(tail[12:], uint32(2*len(record)))
	_, err := open(t, append(both, tail...), DefaultLimits())
	assertRefused(t, err, "a: shares its bytes with another entry")
}

// zipParts are slices into a zip file of two entries: the first entry's own header, the records of both, the end.
type zipParts struct{ local, directory, second, end []byte }

func patchZip(t *testing.T, patch func(zipParts)) []byte {
	t.Helper()
	data := zipBytes(t, weather, nil)
	directory := bytes.Index(data, []byte("PK\x01\x02"))
	second := directory + 4 + bytes.Index(data[directory+4:], []byte("PK\x01\x02"))
	end := bytes.Index(data, []byte("PK\x05\x06"))
	patch(zipParts{data, data[directory:], data[second:], data[end:]})
	return data
}

// Nothing may be written outside the staging folder, whatever the archive says.
func TestNothingOutside(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	name := filepath.Join(outside, "escaped")
	for _, path := range []string{name, strings.Repeat("../", 20) + name[1:]} {
		_, err := open(t, gzipped(t, tarBytes(t, append(tarOf(weather), regular(path, "x"))...)), DefaultLimits())
		assertRefused(t, err, "")
	}
	assertEmpty(t, outside)
}

func FuzzOpen(f *testing.F) {
	f.Add(gzipped(f, tarBytes(f, tarOf(weather)...)))
	f.Add(zstdOf(f, tarBytes(f, tarOf(weather)...)))
	f.Add(zipBytes(f, weather, nil))
	f.Add(zipBytes(f, with(weather, "../x", "x"), nil))
	f.Add(gzipped(f, tarBytes(f, tarEntry{tar.Header{Typeflag: tar.TypeSymlink, Name: "x", Linkname: "/"}, ""}, regular("x/y", "z"))))
	limits := Limits{ArchiveBytes: 1 << 20, UnpackedBytes: 4 << 20, FileBytes: 1 << 20, Files: 100, PathBytes: 100, Depth: 5, Ratio: 1000}
	f.Fuzz(func(t *testing.T, data []byte) {
		archive, err := open(t, data, limits)
		if err != nil {
			assertForPeople(t, err)
			return
		}
		if err := archive.WriteTarZst(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
}
