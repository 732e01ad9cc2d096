package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"attune"
	"attune/imagebuilder/pack"
)

// TestExamples holds the example packs to what the service checks, in the archives that the command line makes of them.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"weather.report", "inventory.check", "tickets.normalize"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			ref, _, _ := attune.SplitActionRef(action)
			folder := filepath.Join("..", "..", "examples", ref)
			file := packed(t, folder)
			archive, err := pack.Open(t.Context(), file, t.TempDir(), pack.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = archive.Close() }()
			manifest := archive.Manifest
			if len(manifest.Actions) != 1 || manifest.Actions[0].Ref != action || len(manifest.Actions[0].Secrets) != 1 {
				t.Errorf("manifest %+v", manifest)
			}
		})
	}
}

// packed is a pack's folder as an archive to read.
func packed(t *testing.T, folder string) *os.File {
	t.Helper()
	files, _, err := packFiles(folder)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "pack.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	if err := writePack(file, folder, files); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return file
}
