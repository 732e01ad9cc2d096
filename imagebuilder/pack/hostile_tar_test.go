package pack

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"
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
		"1 long name": {
			[]tarEntry{regular(strings.Repeat("x/", 10)+strings.Repeat("y", 600), "x")}, "has a name of more than 512 bytes",
		},
		"1 long part": {[]tarEntry{regular(strings.Repeat("y", 300), "x")}, "has a part of more than 255 bytes"},
		"1 deep":      {[]tarEntry{regular(strings.Repeat("d/", 40)+"x", "x")}, "is more than 32 folders deep"},
		"2 symlink": {
			append(special(tar.TypeSymlink, "out", "/tmp"), regular("out/x", "x")), "out: is a symbolic link",
		},
		"3 hard link":     {special(tar.TypeLink, "out", "/etc/passwd"), "out: is a hard link"},
		"4 device":        {special(tar.TypeChar, "x", ""), "x: is a device"},
		"4 block device":  {special(tar.TypeBlock, "x", ""), "x: is a device"},
		"4 FIFO":          {special(tar.TypeFifo, "x", ""), "x: is a device, a pipe"},
		"4 contiguous":    {special(tar.TypeCont, "x", ""), "x: is a device"},
		"4 setuid":        {mode(tar.TypeReg, 0o4755), "x: has the setuid"},
		"4 setgid":        {mode(tar.TypeReg, 0o2755), "x: has the setuid"},
		"4 setuid folder": {mode(tar.TypeDir, 0o4755), "x: has the setuid"},
		"9 twice":         {[]tarEntry{regular("x", "1"), regular("x", "2")}, "x: is in the archive twice"},
		"9 case":          {[]tarEntry{regular("X", "1"), regular("x", "2")}, `x: has the same name as "X"`},
		"9 case of a folder": {
			[]tarEntry{regular("Lib/a", "1"), regular("lib/b", "2")}, `lib/b: has the same name as "Lib"`,
		},
		"9 composition":       {[]tarEntry{regular("\u00e9", "1"), regular("e\u0301", "2")}, "has the same name as"},
		"9 case folding":      {[]tarEntry{regular("STRASSE", "1"), regular("stra\u00dfe", "2")}, "has the same name as"},
		"9 file, then folder": {[]tarEntry{regular("x", "1"), regular("x/y", "2")}, "x/y: is a file and a folder at once"},
		"9 folder, then file": {[]tarEntry{regular("x/y", "1"), regular("x", "2")}, "x: is a file and a folder at once"},
		"9 not UTF-8": {
			[]tarEntry{{tar.Header{Typeflag: tar.TypeReg, Name: "\xff", Format: tar.FormatGNU}, "x"}},
			"has a name that is not UTF-8",
		},
		"9 line break": {[]tarEntry{regular("x\ny", "x")}, "has a name with a control character"},
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

// 5: a zstd frame may ask for a window of gigabytes before it has sent one byte.
func TestZstdWindow(t *testing.T) {
	t.Parallel()
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8} // a window of 2 GiB
	_, err := open(t, append(frame, make([]byte, 100)...), DefaultLimits())
	assertRefused(t, err, "damaged or cut off")
}

// 8: a map of holes lets a few bytes stand for terabytes.
func TestSparse(t *testing.T) {
	t.Parallel()
	// The writer drops these records, so they are written under another name first.
	pax := tarBytes(t, tarEntry{tar.Header{
		Typeflag: tar.TypeReg, Name: "x", Format: tar.FormatPAX, PAXRecords: map[string]string{
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
