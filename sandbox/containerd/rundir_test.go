package containerd

import (
	"os"
	"path/filepath"
	"testing"

	"attune/sandbox"
)

func TestReadLimited(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "result")
	for content, want := range map[string]string{"": "", "{}": "{}"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readLimited(file); err != nil || string(got) != want || (content == "") != (got == nil) {
			t.Errorf("%q was read as %q, %v", content, got, err)
		}
	}
	if err := os.Truncate(file, 2*sandbox.MaxResultFileBytes); err != nil {
		t.Fatal(err)
	}
	if got, err := readLimited(file); err != nil || len(got) != sandbox.MaxResultFileBytes+1 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if _, err := readLimited(link); err == nil {
		t.Error("a link was followed")
	}
	if _, err := readLimited(dir); err == nil {
		t.Error("a folder was read")
	}
}
