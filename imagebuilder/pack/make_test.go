package pack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"attune"
)

// weather is a small pack that is accepted.
var weather = map[string]string{
	"pack.yaml":             "ref: weather\nversion: 1.2.0\n",
	"actions/forecast.yaml": "ref: forecast\nentry_point: forecast.py\n",
	"actions/forecast.py":   "def run(parameters, secrets): return parameters\n",
}

// with returns the files with some more, or others in their place; an empty text takes a file away.
func with(files map[string]string, more ...string) map[string]string {
	all := maps.Clone(files)
	for i := 0; i < len(more); i += 2 {
		if all[more[i]] = more[i+1]; more[i+1] == "" {
			delete(all, more[i])
		}
	}
	return all
}

// tarOf makes the headers of regular files, in alphabetical order.
func tarOf(files map[string]string) []tarEntry {
	var entries []tarEntry
	for _, name := range slices.Sorted(maps.Keys(files)) {
		entries = append(entries, tarEntry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, files[name]})
	}
	return entries
}

type tarEntry struct {
	tar.Header
	text string
}

func tarBytes(tb testing.TB, entries ...tarEntry) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		e.Size = int64(len(e.text))
		if err := w.WriteHeader(&e.Header); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func zstdOf(tb testing.TB, data []byte, options ...zstd.EOption) []byte {
	tb.Helper()
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		tb.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

// zipBytes makes a zip file; change may alter each entry's header.
func zipBytes(tb testing.TB, files map[string]string, change func(*zip.FileHeader)) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		if change != nil {
			change(header)
		}
		entry, err := w.CreateHeader(header)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(entry, files[name]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// open opens an archive that exists in memory. The staging folder must be empty after an error.
func open(tb testing.TB, data []byte, limits Limits) (*Archive, error) {
	tb.Helper()
	path, staging := filepath.Join(tb.TempDir(), "archive"), tb.TempDir()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() {
		if err := file.Close(); err != nil {
			tb.Error(err)
		}
	}()
	contents, lookErr := Look(context.Background(), file, limits)
	assertEmpty(tb, staging)
	archive, err := Open(context.Background(), file, staging, limits)
	switch {
	case lookErr != nil && (err == nil || err.Error() != lookErr.Error()):
		tb.Errorf("a look says %v, the unpacking %v", lookErr, err)
	case err == nil && contents.Ref != archive.Manifest.Ref:
		tb.Errorf("a look finds the pack %q, the unpacking %q", contents.Ref, archive.Manifest.Ref)
	}
	if err != nil {
		assertEmpty(tb, staging)
		return nil, err
	}
	tb.Cleanup(func() {
		if err := archive.Close(); err != nil {
			tb.Error(err)
		}
		assertEmpty(tb, staging)
	})
	return archive, nil
}

func mustOpen(tb testing.TB, data []byte) *Archive {
	tb.Helper()
	archive, err := open(tb, data, DefaultLimits())
	if err != nil {
		tb.Fatal(err)
	}
	assertSchemaAgrees(tb, filesBelow(tb, archive), nil)
	return archive
}

func assertEmpty(tb testing.TB, dir string) {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		tb.Errorf("left in staging: %s", e.Name())
	}
}

// filesBelow reads all files of a pack.
func filesBelow(tb testing.TB, archive *Archive) map[string]string {
	tb.Helper()
	files := map[string]string{}
	err := fs.WalkDir(archive.Root().FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(archive.Root().FS(), name)
		files[name] = string(text)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// assertRefused wants CodeInvalid and one problem with this text.
func assertRefused(tb testing.TB, err error, want string) {
	tb.Helper()
	if attune.CodeOf(err) != attune.CodeInvalid {
		tb.Fatalf("got %v, want an invalid archive", err)
	}
	refused, _ := errors.AsType[*attune.Error](err)
	for _, p := range refused.Problems {
		if strings.Contains(p.String(), want) {
			return
		}
	}
	tb.Errorf("got %v\nwant a problem with %q", err, want)
}

// assertForPeople wants an error whose text a person may see.
func assertForPeople(tb testing.TB, err error) {
	tb.Helper()
	if code := attune.CodeOf(err); code != attune.CodeInvalid && code != attune.CodeTooLarge {
		tb.Fatalf("an internal error: %v", err)
	}
}
