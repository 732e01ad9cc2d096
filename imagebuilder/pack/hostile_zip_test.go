package pack

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"
)

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
		"1 drive":     {named(`C:\x`), "has an absolute name"},
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
		"10 name":   {patchZip(t, func(z zipParts) { z.local[30] = 'z' }), "is described in two different ways"},
		"10 method": {patchZip(t, func(z zipParts) { z.local[8] = 0 }), "is described in two different ways"},
		"10 size": {
			patchZip(t, func(z zipParts) { binary.LittleEndian.PutUint32(z.local[22:], 5) }),
			"is described in two different ways",
		},
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
		"other method": {
			patchZip(t, func(z zipParts) { z.local[8], z.directory[10] = 93, 93 }), "compressed in a way that is not supported",
		},
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
