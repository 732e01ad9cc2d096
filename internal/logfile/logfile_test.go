package logfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attune/internal/logfile"
)

func TestALogThatGrowsIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemon.log")
	file, err := logfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, round := range []string{"first", "second", "third"} {
		line := round + strings.Repeat(" flood", 1<<10) + "\n"
		for range 2 * logfile.MaxBytes / len(line) {
			if _, err := file.WriteString(line); err != nil {
				t.Fatal(err)
			}
		}
		if err := logfile.Bound(path); err != nil {
			t.Fatal(err)
		}
		wantSize(t, path, 0)
		wantSize(t, path+".1", logfile.MaxBytes)
		if text := read(t, path+".1"); !strings.HasSuffix(text, line) {
			t.Errorf("the end of the %s round is lost", round)
		}
	}
	if _, err := file.WriteString("goes on\n"); err != nil {
		t.Fatal(err)
	}
	if err := logfile.Bound(path); err != nil {
		t.Fatal(err)
	}
	if text := read(t, path); text != "goes on\n" {
		t.Errorf("the log is %.40q", text)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 2 {
		t.Errorf("there are %v, %v", left, err)
	}
}

func wantSize(t *testing.T, path string, want int64) {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.Size() != want {
		t.Errorf("%s: %v, %v; want %d bytes", path, info, err, want)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
