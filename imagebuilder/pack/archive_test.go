package pack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"attune"
)

func prefixed(files map[string]string, prefix string) map[string]string {
	moved := map[string]string{}
	for name, text := range files {
		moved[prefix+name] = text
	}
	return moved
}

func TestOpen(t *testing.T) {
	t.Parallel()
	plain := tarBytes(t, tarOf(weather)...)
	below := func(name string, mode int64) []tarEntry {
		folder := tarEntry{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode}, ""}
		return append([]tarEntry{folder}, tarOf(prefixed(weather, name))...)
	}
	git := append([]tarEntry{
		{
			tar.Header{
				Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "a1b2"},
			},
			"",
		},
	},
		tarOf(prefixed(weather, "weather-1.2.0/"))...)
	mac := tarOf(with(prefixed(weather, "weather/"), "__MACOSX/weather/._pack.yaml", "x", "weather/.DS_Store", "x",
		"weather/actions/._forecast.py", "x", "._weather", "x"))
	for name, data := range map[string][]byte{
		"tar.gz":          gzipped(t, plain),
		"tar.zst":         zstdOf(t, plain),
		"zip":             zipBytes(t, weather, nil),
		"zip, stored":     zipBytes(t, weather, func(h *zip.FileHeader) { h.Method = zip.Store }),
		"zip, top folder": zipBytes(t, prefixed(weather, "weather/"), nil),
		"zip, folders":    zipBytes(t, with(weather, "actions/", ""), nil),
		"top folder":      gzipped(t, tarBytes(t, below("weather/", 0o2755)...)),
		"dot folder":      gzipped(t, tarBytes(t, below("./", 0o755)...)),
		"git archive":     gzipped(t, tarBytes(t, git...)),
		"macOS":           gzipped(t, tarBytes(t, mac...)),
		"two gzip parts":  append(gzipped(t, plain[:1000]), gzipped(t, plain[1000:])...),
		"padded":          gzipped(t, append(bytes.Clone(plain), make([]byte, 10<<10)...)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive := mustOpen(t, data)
			if diff := cmp.Diff(weather, filesBelow(t, archive)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if archive.Manifest.Ref != "weather" || len(archive.Manifest.Actions) != 1 {
				t.Errorf("manifest: %+v", archive.Manifest)
			}
			if _, err := os.Stat(filepath.Join(archive.Dir(), "pack.yaml")); err != nil {
				t.Error(err)
			}
		})
	}
}

// Packs with equal files are stored under one name, however they were archived.
func TestWriteTarZstIsCanonical(t *testing.T) {
	t.Parallel()
	entries := tarOf(weather)
	entries[0].Mode = 0o755
	reversed := []tarEntry{
		{tar.Header{Typeflag: tar.TypeDir, Name: "actions", Mode: 0o700, Uid: 7}, ""}, entries[2], entries[1],
		{
			tar.Header{
				Typeflag: tar.TypeReg,
				Name:     "actions/forecast.py",
				Mode:     0o700,
				Uid:      1000,
				Uname:    "me",
				ModTime:  epoch.AddDate(1, 0, 0),
			},
			weather["actions/forecast.py"],
		},
	}
	sums := map[[32]byte]bool{}
	for _, data := range [][]byte{
		gzipped(t, tarBytes(t, entries...)),
		zstdOf(t, tarBytes(t, reversed...)),
		zipBytes(t, prefixed(weather, "top/"), func(h *zip.FileHeader) {
			if h.SetMode(0o644); strings.HasSuffix(h.Name, ".py") {
				h.SetMode(0o755)
			}
		}),
	} {
		var out bytes.Buffer
		archive := mustOpen(t, data)
		if err := archive.WriteTarZst(&out); err != nil {
			t.Fatal(err)
		}
		sums[sha256.Sum256(out.Bytes())] = true
		again := mustOpen(t, out.Bytes())
		if diff := cmp.Diff(archive.Manifest, again.Manifest); diff != "" {
			t.Errorf("manifest changed (-before +after):\n%s", diff)
		}
		for name, mode := range map[string]fs.FileMode{"actions/forecast.py": 0o755, "pack.yaml": 0o644} {
			if info, err := again.Root().Stat(name); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: mode %v, %v, want %v", name, info.Mode(), err, mode)
			}
		}
	}
	if len(sums) != 1 {
		t.Errorf("equal packs have %d checksums", len(sums))
	}
}

func TestStagingIsPrivate(t *testing.T) {
	t.Parallel()
	archive := mustOpen(t, zipBytes(t, prefixed(weather, "weather/"), nil))
	if info, err := os.Stat(filepath.Dir(archive.Dir())); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("staging folder: %v, %v", info.Mode(), err)
	}
}

func TestNoArchive(t *testing.T) {
	t.Parallel()
	plain := tarBytes(t, tarOf(weather)...)
	packed := gzipped(t, plain)
	damagedSum := bytes.Clone(packed)
	damagedSum[len(damagedSum)-6] ^= 1
	zipped := zipBytes(t, weather, nil)
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"empty":          {nil, "is not a pack archive"},
		"text":           {[]byte("ref: weather\n"), "is not a pack archive"},
		"plain tar":      {plain, "is not a pack archive"},
		"cut gzip":       {packed[:len(packed)-20], "damaged or cut off"},
		"cut zip":        {zipped[:len(zipped)-30], "damaged or cut off"},
		"wrong checksum": {damagedSum, "damaged or cut off"},
		"gzip of text":   {gzipped(t, []byte("hello")), "damaged or cut off"},
		"zstd of text":   {zstdOf(t, []byte("hello")), "damaged or cut off"},
		"behind the end": {gzipped(t, append(bytes.Clone(plain), "more"...)), "something behind its end"},
		"no manifest": {
			gzipped(t, tarBytes(t, tarOf(with(weather, "pack.yaml", ""))...)), "actions/pack.yaml: is missing",
		},
		"two top folders": {
			gzipped(t, tarBytes(t, tarOf(with(prefixed(weather, "a/"), "b/x", "x"))...)),
			"pack.yaml: is missing: it must be at the root",
		},
		"manifest a folder": {
			gzipped(t, tarBytes(t, tarOf(with(weather, "pack.yaml", "", "pack.yaml/x", "x"))...)), "pack.yaml: is missing",
		},
		"nothing": {gzipped(t, tarBytes(t)), "pack.yaml: is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := open(t, test.data, DefaultLimits())
			assertRefused(t, err, test.want)
		})
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	limits := DefaultLimits()
	limits.ArchiveBytes = 10
	if _, err := open(t, zipBytes(t, weather, nil), limits); attune.CodeOf(err) != attune.CodeTooLarge {
		t.Errorf("got %v", err)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	path, staging := filepath.Join(t.TempDir(), "a.zip"), t.TempDir()
	if err := os.WriteFile(path, zipBytes(t, weather, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Open(ctx, file, staging, DefaultLimits()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	assertEmpty(t, staging)
}

// A problem of this host is not the author's: it must not come back as an invalid archive.
func TestStagingMissing(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "a.zip"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	_, err = Open(context.Background(), file, "/nonexistent", DefaultLimits())
	if err == nil || attune.CodeOf(err) != "" {
		t.Errorf("got %v", err)
	}
}

// All wrong entries are named at once, in an order that does not change.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	data := gzipped(t, tarBytes(t, append(tarOf(with(weather, "b/../x", "", "/abs", "x", `back\slash`, "x")),
		tarEntry{tar.Header{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "pack.yaml"}, ""})...))
	_, err := open(t, data, DefaultLimits())
	refused, ok := errors.AsType[*attune.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var places []string
	for _, p := range refused.Problems {
		places = append(places, p.File)
	}
	if diff := cmp.Diff([]string{"/abs", `back\slash`, "link"}, places); diff != "" {
		t.Error(diff)
	}
}

// The packs that the documentation shows are good ones.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"inventory", "tickets", "weather"} {
		var data bytes.Buffer
		w := tar.NewWriter(&data)
		if err := errors.Join(w.AddFS(os.DirFS("../../examples/"+name)), w.Close()); err != nil {
			t.Fatal(err)
		}
		if archive := mustOpen(t, gzipped(t, data.Bytes())); archive.Manifest.Ref != name {
			t.Errorf("%s: the manifest is of %q", name, archive.Manifest.Ref)
		}
	}
}
