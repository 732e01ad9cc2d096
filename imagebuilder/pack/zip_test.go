package pack

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// zipTool is how a tool writes zip files.
type zipTool struct {
	// host and version say who made an entry.
	host, version byte
	// streams: sizes stand behind an entry's bytes, and in its header what ahead leaves of them.
	streams bool
	ahead   func(checksum, compressed, size uint32) (uint32, uint32, uint32)
	// mode is the host's, for files.
	mode uint32
}

func nothing(uint32, uint32, uint32) (uint32, uint32, uint32) { return 0, 0, 0 }

func everything(checksum, compressed, size uint32) (uint32, uint32, uint32) {
	return checksum, compressed, size
}

func onlySize(_, _, size uint32) (uint32, uint32, uint32) { return 0, 0, size }

const (
	fatHost, unixHost = 0, 3
	regularFile       = 0o100644 << 16
)

// write makes a zip file of the files; a name that ends in a separator is a folder.
func (z zipTool) write(tb testing.TB, files map[string]string) []byte {
	tb.Helper()
	var out, directory bytes.Buffer
	put := func(to *bytes.Buffer, values ...any) {
		for _, v := range values {
			if err := binary.Write(to, binary.LittleEndian, v); err != nil {
				tb.Fatal(err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text, offset := files[name], uint32(out.Len())
		method, flags, mode := uint16(8), uint16(0), z.mode
		if z.streams {
			flags = zipStreamed
		}
		if strings.HasSuffix(name, "/") || strings.HasSuffix(name, `\`) {
			method, flags, mode = 0, 0, z.mode&^(0o170000<<16)
		}
		data := []byte(text)
		if method == 8 {
			data = deflated(tb, text)
		}
		checksum, compressed, size := crc32.ChecksumIEEE([]byte(text)), uint32(len(data)), uint32(len(text))
		a, b, c := checksum, compressed, size
		if flags != 0 {
			a, b, c = z.ahead(checksum, compressed, size)
		}
		put(&out, uint32(zipLocalSignature), uint16(20), flags, method, uint32(0), a, b, c, uint16(len(name)), uint16(0),
			[]byte(name), data)
		if flags != 0 {
			put(&out, uint32(0x08074b50), checksum, compressed, size)
		}
		put(&directory, uint32(zipDirectorySignature), z.version, z.host, uint16(20), flags, method, uint32(0), checksum,
			compressed, size, uint16(len(name)), uint16(0), uint16(0), uint16(0), uint16(0), mode, offset, []byte(name))
	}
	start, n := uint32(out.Len()), uint16(len(files))
	put(&out, directory.Bytes(), uint32(zipEndSignature), uint16(0), uint16(0), n, n, uint32(directory.Len()), start,
		uint16(0))
	return out.Bytes()
}

func deflated(tb testing.TB, text string) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.DefaultCompression)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// TestZipsAsPeopleMakeThem: each is what the tool writes, but for times and extra fields.
func TestZipsAsPeopleMakeThem(t *testing.T) {
	t.Parallel()
	below := prefixed(weather, "weather/")
	folders := with(below)
	folders["weather/"], folders["weather/actions/"] = "", ""
	apple := with(folders, "weather/.DS_Store", "x", "__MACOSX/weather/._pack.yaml", "x")
	apple["__MACOSX/"], apple["__MACOSX/weather/"] = "", ""
	bsdtar := zipTool{unixHost, 20, true, onlySize, regularFile}
	back := map[string]string{}
	for name, text := range folders {
		back[strings.ReplaceAll(name, "/", `\`)] = text
	}
	for name, data := range map[string][]byte{
		"bsdtar":            bsdtar.write(t, folders),
		"bsdtar, piped":     append(bsdtar.write(t, folders), make([]byte, 9<<10)...),
		"zip -r -":          zipTool{unixHost, 30, true, onlySize, regularFile}.write(t, folders),
		"zip -r":            zipTool{unixHost, 30, false, nil, regularFile}.write(t, folders),
		"macOS Finder":      zipTool{unixHost, 21, true, nothing, regularFile}.write(t, apple),
		"Windows Explorer":  zipTool{fatHost, 20, false, nil, 0x20}.write(t, below),
		"Compress-Archive":  zipTool{fatHost, 20, false, nil, 0}.write(t, back),
		"all in the header": zipTool{unixHost, 20, true, everything, 0}.write(t, below),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(weather, filesBelow(t, mustOpen(t, data))); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestZipHeadersThatDisagree(t *testing.T) {
	t.Parallel()
	for _, ahead := range map[string]func(a, b, c uint32) (uint32, uint32, uint32){
		"checksum":   func(a, _, _ uint32) (uint32, uint32, uint32) { return a + 1, 0, 0 },
		"compressed": func(_, b, _ uint32) (uint32, uint32, uint32) { return 0, b + 1, 0 },
		"size":       func(_, _, c uint32) (uint32, uint32, uint32) { return 0, 0, c + 1 },
	} {
		_, err := open(t, zipTool{unixHost, 20, true, ahead, 0}.write(t, weather), DefaultLimits())
		assertRefused(t, err, "is described in two different ways")
	}
}

func TestZipNamesOfWindows(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		`..\x`: `has ".." in its name`, `\x`: "has an absolute name", `C:\x`: "has an absolute name",
		`C:x`: "has an absolute name", `actions\\x`: `has an empty part`, `ACTIONS\x`: "has the same name as",
	} {
		_, err := open(t, zipTool{fatHost, 20, false, nil, 0}.write(t, with(weather, name, "x")), DefaultLimits())
		assertRefused(t, err, want)
	}
	_, err := open(t, zipTool{unixHost, 20, false, nil, 0}.write(t, with(weather, `a\x`, "x")), DefaultLimits())
	assertRefused(t, err, "has a backslash")
}

// One reader, one truth: some readers take the first end record of a file, some the last.
func TestSecondZipDirectory(t *testing.T) {
	t.Parallel()
	commented := func(comment []byte) []byte {
		data := zipBytes(t, weather, nil)
		binary.LittleEndian.PutUint16(data[len(data)-2:], uint16(len(comment)))
		return append(data, comment...)
	}
	mustOpen(t, commented([]byte("made by hand")))
	other := zipBytes(t, map[string]string{}, nil) // an end record alone
	_, err := open(t, commented(other), DefaultLimits())
	assertRefused(t, err, "it has two directories")
	_, err = open(t, commented(append(bytes.Clone(other), "more"...)), DefaultLimits())
	assertRefused(t, err, "its comment has another directory")

	// A zip within a zip, such as a wheel, is none of this.
	wheel := zipTool{unixHost, 20, false, nil, 0}.write(t, map[string]string{"a.py": "x"})
	stored := with(weather, "wheels/a-1-py3-none-any.whl", string(wheel))
	mustOpen(t, zipBytes(t, stored, func(h *zip.FileHeader) { h.Method = zip.Store }))
}
