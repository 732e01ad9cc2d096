package pack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

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
		{
			"zip ratio",
			"unpacks to more than 200 times its size",
			zipBytes(t, map[string]string{"zeros": strings.Repeat("\x00", size)}, nil),
			DefaultLimits(),
		},
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
	link := tarEntry{tar.Header{Typeflag: tar.TypeSymlink, Name: "x", Linkname: "/"}, ""}
	f.Add(gzipped(f, tarBytes(f, link, regular("x/y", "z"))))
	limits := Limits{
		ArchiveBytes: 1 << 20, UnpackedBytes: 4 << 20, FileBytes: 1 << 20,
		Files: 100, PathBytes: 100, Depth: 5, Ratio: 1000,
	}
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
