package pack

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLook(t *testing.T) {
	t.Parallel()
	below := map[string]string{}
	for name, text := range weather {
		below["top/"+name] = text
	}
	other := "ref: other\nversion: 1.0.0\n"
	for name, test := range map[string]struct {
		files map[string]string
		ref   string
		paths int64
	}{
		"at the root":                {weather, "weather", 4},
		"in a top folder":            {below, "weather", 5},
		"the root's counts":          {with(weather, "a/pack.yaml", other), "weather", 6},
		"a deeper one does not":      {with(below, "top/a/pack.yaml", other), "weather", 7},
		"a byte order mark":          {with(weather, "pack.yaml", "\ufeffref: weather\nversion: 1.2.0\n"), "weather", 4},
		"a pack.yaml without a name": {with(weather, "pack.yaml", "version: 1.2.0\n"), "", 4},
		"a broken pack.yaml":         {with(weather, "pack.yaml", "ref: {"), "", 4},
		"no pack.yaml":               {with(weather, "pack.yaml", ""), "", 3},
		"a huge pack.yaml":           {with(weather, "pack.yaml", "ref: weather\n"+strings.Repeat("#", maxYAMLBytes)), "", 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, data := range [][]byte{gzipped(t, tarBytes(t, tarOf(test.files)...)), zipBytes(t, test.files, nil)} {
				path := filepath.Join(t.TempDir(), "archive")
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				file, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = file.Close() }()
				got, err := Look(t.Context(), file, DefaultLimits())
				if err != nil || got.Ref != test.ref || got.Files != test.paths {
					t.Errorf("got %+v, %v, want %q and %d paths", got, err, test.ref, test.paths)
				}
				if least := int64(len(test.files)) * diskBlock; got.Bytes < least || got.Bytes%diskBlock != 0 {
					t.Errorf("%d files take %d bytes of disk", len(test.files), got.Bytes)
				}
			}
		})
	}
}

// 7: a folder that only a file's name implies costs an inode, too.
func TestImpliedFoldersCount(t *testing.T) {
	t.Parallel()
	limits := DefaultLimits()
	limits.Files = 100
	entries := tarOf(weather)
	for i := range 10 {
		name := fmt.Sprintf("d%d/%sx", i, strings.Repeat("d/", 20))
		entries = append(entries, tarEntry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, ""})
	}
	_, err := open(t, gzipped(t, tarBytes(t, entries...)), limits)
	assertRefused(t, err, "has more than 100 files and folders")
}
