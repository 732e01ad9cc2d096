package logs_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"attune/storage/logs"
)

// refused lists what was set aside.
func refused(t *testing.T, spool string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(spool, "refused", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestWhatS3RefusesIsSetAside(t *testing.T) {
	t.Parallel()
	for name, output := range map[string]string{
		"folder above": "../../../../../../../../../other", "backslash": `..\x`, "long part": strings.Repeat("x", 300),
	} {
		for _, byRecover := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				store, spool, b := openLogs(t)
				document := spoolOutput(t, store, output)
				if byRecover {
					document.Leave()
				} else if err := document.Upload(t.Context()); err != nil {
					t.Fatal(err)
				}
				good := spoolOutput(t, store, "good.txt")
				good.Leave()
				for range 2 {
					if err := store.Recover(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				wantKeys(t, b, "output/good.txt")
				aside := refused(t, spool)
				if len(aside) != 1 || spooled(t, spool) != 1 {
					t.Fatalf("set aside are %v of %d files", aside, spooled(t, spool))
				}
				content, err := os.ReadFile(aside[0])
				if err != nil || !strings.HasSuffix(string(content), "content") {
					t.Errorf("it holds %q, %v", content, err)
				}
			})
		}
	}
}

func spoolOutput(t *testing.T, store *logs.Store, name string) *logs.Document {
	t.Helper()
	content := strings.NewReader("content")
	_, document, err := store.SpoolOutput(prefix, name, io.NewSectionReader(content, 0, content.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// TestNameThatTheSpoolCannotHold: the error says which name it is, and nothing is left.
func TestNameThatTheSpoolCannotHold(t *testing.T) {
	t.Parallel()
	store, spool, _ := openLogs(t)
	content := strings.NewReader("content")
	long := strings.Repeat("x", 1000)
	_, _, err := store.SpoolOutput(prefix, long, io.NewSectionReader(content, 0, content.Size()))
	if err == nil || !strings.Contains(err.Error(), long) || !strings.Contains(err.Error(), "1024 are allowed") {
		t.Errorf("the error is %v", err)
	}
	if n := spooled(t, spool); n != 0 {
		t.Errorf("%d files are left in the spool", n)
	}
	// What JSON writes in six bytes elsewhere takes one here.
	spoolOutput(t, store, strings.Repeat("<", 255)).Leave()
}

// TestSpoolFileWithoutAHeaderIsSetAside: a loss of power leaves files that are empty, or zeros.
func TestSpoolFileWithoutAHeaderIsSetAside(t *testing.T) {
	t.Parallel()
	store, spool, _ := openLogs(t)
	for name, content := range map[string]string{"a.spool": "", "b.spool": strings.Repeat("\x00", 5000), "c.spool": "{"} {
		if err := os.WriteFile(filepath.Join(spool, "0a", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if aside := refused(t, spool); len(aside) != 3 || spooled(t, spool) != 3 {
		t.Errorf("set aside are %v", aside)
	}
}

func TestRefusedFilesAreBounded(t *testing.T) {
	t.Parallel()
	store, spool, _ := openLogs(t)
	// Each takes 100 MiB of the disk, which is never written.
	for _, name := range []string{"1.spool", "2.spool", "3.spool"} {
		file, err := os.Create(filepath.Join(spool, "0a", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Fallocate(int(file.Fd()), 0, 0, 100<<20); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if aside := refused(t, spool); len(aside) != 2 || filepath.Base(aside[0]) != "2.spool" {
		t.Errorf("kept are %v, want the newest two", aside)
	}
}
