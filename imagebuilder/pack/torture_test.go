package pack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRandomHostileArchives reads archives that are made wrong at random. A seed fixes one archive. make torture goes
// on for ATTUNE_TORTURE_DURATION; ATTUNE_TORTURE_SEED reads one archive again.
func TestRandomHostileArchives(t *testing.T) {
	t.Parallel()
	duration, err := time.ParseDuration(cmp.Or(os.Getenv("ATTUNE_TORTURE_DURATION"), "0s"))
	if err != nil {
		t.Fatal(err)
	}
	h := newHostile(t)
	if text := os.Getenv("ATTUNE_TORTURE_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		h.read(t, seed)
		return
	}
	const least = 500
	read := 0
	for end := time.Now().Add(duration); read < least || time.Now().Before(end); read++ {
		h.read(t, rand.Uint64N(1<<32))
		if t.Failed() {
			return
		}
	}
	t.Logf("%d archives, %d of them accepted", read, h.accepted)
}

// hostile reads archives in a folder whose every change is seen.
type hostile struct {
	dir, staging, path string
	limits             Limits
	heap               uint64
	accepted           int
}

func newHostile(t *testing.T) *hostile {
	t.Helper()
	dir := t.TempDir()
	h := &hostile{dir: dir, staging: filepath.Join(dir, "staging"), path: filepath.Join(dir, "archive"), limits: Limits{
		ArchiveBytes: 1 << 20, UnpackedBytes: 4 << 20, FileBytes: 1 << 20, Files: 200, PathBytes: 100, Depth: 5, Ratio: 1000,
		Resources: mostResources(),
	}}
	if err := os.Mkdir(h.staging, 0o700); err != nil {
		t.Fatal(err)
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	h.heap = stats.HeapSys
	return h
}

// read reads the archive of a seed and checks that it harmed nothing.
func (h *hostile) read(t *testing.T, seed uint64) {
	t.Helper()
	defer func() {
		if cause := recover(); cause != nil {
			t.Errorf("ATTUNE_TORTURE_SEED=%d: panic: %v", seed, cause)
		}
	}()
	if err := os.WriteFile(h.path, randomArchive(t, rand.New(rand.NewPCG(seed, 0))), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(h.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	start := time.Now()
	contents, lookErr := Look(t.Context(), file, h.limits)
	archive, err := Open(t.Context(), file, h.staging, h.limits)
	switch {
	case lookErr != nil && (err == nil || err.Error() != lookErr.Error()):
		t.Errorf("ATTUNE_TORTURE_SEED=%d: a look says %v, the unpacking %v", seed, lookErr, err)
	case err != nil:
		assertForPeople(t, err)
	case contents.Ref != archive.Manifest.Ref:
		t.Errorf("ATTUNE_TORTURE_SEED=%d: a look finds the pack %q, the unpacking %q", seed, contents.Ref,
			archive.Manifest.Ref)
	}
	if err == nil {
		h.accepted++
		h.onlyFiles(t, seed)
		if err := archive.WriteTarZst(io.Discard); err != nil {
			t.Errorf("ATTUNE_TORTURE_SEED=%d: %v", seed, err)
		}
		if err := archive.Close(); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("ATTUNE_TORTURE_SEED=%d: took %v", seed, took)
	}
	h.nothingElse(t, seed)
}

// onlyFiles checks what was unpacked: files and folders, within the limits.
func (h *hostile) onlyFiles(t *testing.T, seed uint64) {
	t.Helper()
	var bytes int64
	paths := 0
	err := filepath.WalkDir(h.staging, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		paths++
		if !entry.IsDir() {
			bytes += info.Size()
		}
		if !entry.IsDir() && !entry.Type().IsRegular() || info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
			t.Errorf("ATTUNE_TORTURE_SEED=%d: %s is %v", seed, path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if bytes > h.limits.UnpackedBytes || paths > h.limits.Files+2 { // staging, and the archive's folder in it
		t.Errorf("ATTUNE_TORTURE_SEED=%d: %d bytes, %d paths", seed, bytes, paths)
	}
}

// nothingElse checks that nothing is left, and nothing stands beside.
func (h *hostile) nothingElse(t *testing.T, seed uint64) {
	t.Helper()
	for dir, want := range map[string]int{h.staging: 0, h.dir: 2} {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != want {
			t.Errorf("ATTUNE_TORTURE_SEED=%d: %s has %v, %v", seed, dir, entries, err)
		}
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	if grown := stats.HeapSys - min(stats.HeapSys, h.heap); grown > 256<<20 {
		t.Errorf("ATTUNE_TORTURE_SEED=%d: the heap grew by %d MiB", seed, grown>>20)
	}
}

// randomArchive makes a pack with strange entries, and then often breaks its bytes: of the archive, or of what is
// compressed in it.
func randomArchive(t *testing.T, r *rand.Rand) []byte {
	t.Helper()
	entries := tarOf(weather)
	for range r.IntN(4) {
		entries = append(entries, randomEntry(r))
	}
	r.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	var data []byte
	switch r.IntN(3) {
	case 0:
		data = randomZip(t, r, entries)
	case 1:
		data = gzipped(t, mutate(r, randomTar(r, entries)))
	default:
		data = zstdOf(t, mutate(r, randomTar(r, entries)))
	}
	if r.IntN(2) == 0 {
		data = mutate(r, data)
	}
	return data
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func randomEntry(r *rand.Rand) tarEntry {
	parts := make([]string, 1+r.IntN(7))
	for i := range parts {
		parts[i] = pick(r, "..", ".", "", "a", "A", "actions", "pack.yaml", "e\u0301", "\u00e9", "\xff", "x\x00y", `..\x`,
			"C:", strings.Repeat("n", r.IntN(300)), "._x", "__MACOSX", "tmp", "etc")
	}
	name := pick(r, "", "", "/", "./", "../../../../../tmp/") + strings.Join(parts, "/") + pick(r, "", "", "/")
	kind := pick[byte](r, tar.TypeReg, tar.TypeReg, tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeChar,
		tar.TypeFifo, tar.TypeXGlobalHeader, tar.TypeGNUSparse)
	header := tar.Header{Typeflag: kind, Name: name, Mode: pick[int64](r, 0o644, 0o755, 0o4755, 0o2755, 0)}
	switch kind {
	case tar.TypeSymlink, tar.TypeLink:
		header.Linkname = pick(r, "/", "..", "/tmp", "a", "../../archive")
	case tar.TypeReg:
		return tarEntry{header, strings.Repeat(pick(r, "x", "\x00", "ab\n"), r.IntN(1<<pick(r, 1, 8, 16, 21)))}
	}
	return tarEntry{header, ""}
}

// randomTar leaves out what tar.Writer does not write.
func randomTar(r *rand.Rand, entries []tarEntry) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		e.Size, e.Format = int64(len(e.text)), pick(r, tar.FormatUnknown, tar.FormatGNU, tar.FormatPAX)
		if w.WriteHeader(&e.Header) != nil {
			continue
		}
		_, _ = io.WriteString(w, e.text)
	}
	_ = w.Close()
	return out.Bytes()
}

func randomZip(t *testing.T, r *rand.Rand, entries []tarEntry) []byte {
	t.Helper()
	if r.IntN(2) == 0 {
		files := map[string]string{}
		for _, e := range entries {
			files[e.Name] = e.text
		}
		tool := zipTool{
			host: pick[byte](r, 0, 3, 10, 19), version: 20, streams: r.IntN(2) == 0, ahead: pick(r, nothing, onlySize),
			mode: pick[uint32](r, 0, regularFile, 0o120777<<16, 0o104755<<16, 0x10),
		}
		return tool.write(t, files)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.Name, Method: pick(r, zip.Store, zip.Deflate)}
		header.SetMode(e.FileInfo().Mode())
		if entry, err := w.CreateHeader(header); err == nil {
			_, _ = io.WriteString(entry, e.text)
		}
	}
	_ = w.SetComment(pick(r, "", "comment", "PK\x05\x06", fmt.Sprint("PK\x05\x06", strings.Repeat("\x00", 18))))
	_ = w.Close()
	return out.Bytes()
}

// mutate changes a few places: bits, numbers that mean something, cuts, repetitions.
func mutate(r *rand.Rand, data []byte) []byte {
	for range r.IntN(6) {
		if len(data) < 8 {
			return data
		}
		at := r.IntN(len(data) - 4)
		switch r.IntN(6) {
		case 0:
			data[at] ^= 1 << r.IntN(8)
		case 1:
			copy(data[at:], pick(r, "\xff\xff\xff\xff", "\x00\x00\x00\x00", "\xff\xff\xff\x7f", "PK\x01\x02", "PK\x05\x06",
				"PK\x03\x04", "\x01\x00\x00\x00", "\x1f\x8b\x08\x00"))
		case 2:
			data = data[:at]
		case 3:
			n := min(r.IntN(1<<pick(r, 2, 6, 10)), len(data)-at)
			data = append(data[:at:at], data[at+n:]...)
		case 4:
			n := min(r.IntN(1<<pick(r, 2, 6, 10)), len(data)-at)
			data = append(data[:at+n:at+n], data[at:]...)
		default:
			if end := bytes.LastIndex(data, []byte("PK\x01\x02")); end >= 0 && end < len(data)-46 {
				data[end+r.IntN(46)] = byte(r.IntN(256)) // a record of the directory
			}
		}
	}
	return data
}
