package logs_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"attune/storage/logs"
	"attune/storage/s3"
	"attune/storage/storagetest"
)

// disk is a file system that can lose its power.
type disk struct{ image, dir string }

func newDisk(t *testing.T) disk {
	t.Helper()
	d := disk{filepath.Join(t.TempDir(), "image"), t.TempDir()}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 64<<20); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-F", d.image)
	d.mount(t)
	t.Cleanup(func() { run(t, "umount", d.dir) })
	return d
}

func (d disk) mount(t *testing.T) {
	t.Helper()
	run(t, "mount", "-o", "loop", d.image, d.dir)
}

// losePower drops what has not been synced. No file may be open.
func (d disk) losePower(t *testing.T) {
	t.Helper()
	root, err := os.Open(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	const (
		shutdown        = 0x8004587d // EXT4_IOC_SHUTDOWN
		withoutFlushing = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
	)
	if err := unix.IoctlSetPointerInt(int(root.Fd()), shutdown, withoutFlushing); err != nil {
		t.Fatal(err)
	}
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, "umount", d.dir)
	d.mount(t)
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

func TestSyncedSpoolOutlastsALossOfPower(t *testing.T) {
	t.Parallel()
	config := storagetest.S3Config(t)
	b := storagetest.OpenBucket(t, config, config.LogBucket)
	objects, err := s3.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	d := newDisk(t)
	store := openSpoolOn(t, objects, d)
	for _, prefix := range []string{prefix, "executions/p/a/2026/01/01/unsynced/"} {
		w, err := store.Create(prefix, "stdout", 0)
		if err != nil {
			t.Fatal(err)
		}
		write(t, w, "hello")
		if _, err := w.End(prefix); err != nil {
			t.Fatal(err)
		}
		content := strings.NewReader("content")
		_, output, err := store.SpoolOutput(prefix, "a.txt", io.NewSectionReader(content, 0, content.Size()))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := store.SpoolManifest(prefix, logs.Manifest{Execution: "e"})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(prefix, "unsynced") {
			if err := store.Sync([]*logs.Writer{w}, []*logs.Document{output, manifest}); err != nil {
				t.Fatal(err)
			}
		}
		output.Leave()
		manifest.Leave()
		if err := w.Leave(); err != nil {
			t.Fatal(err)
		}
	}
	d.losePower(t)
	if err := openSpoolOn(t, objects, d).Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, b, "manifest.json", "output/a.txt", "stdout.log")
	for key, want := range map[string]string{"stdout.log": "hello", "output/a.txt": "content"} {
		if got := string(b.Read(prefix + key)); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if keys := b.Keys("executions/p/a/2026/01/01/unsynced/"); len(keys) > 0 {
		t.Errorf("what was not synced is there: %v: no power was lost", keys)
	}
}

func openSpoolOn(t *testing.T, objects *s3.Store, d disk) *logs.Store {
	t.Helper()
	store, err := logs.Open(objects.Logs(), filepath.Join(d.dir, "spool"))
	if err != nil {
		t.Fatal(err)
	}
	return store
}
