package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestHostIdentity(t *testing.T) {
	t.Parallel()
	identity := func(dir string) string {
		t.Helper()
		id, err := hostIdentity(dir)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	parent := t.TempDir()
	original, copied, moved := filepath.Join(parent, "a"), filepath.Join(parent, "b"), filepath.Join(parent, "c")
	for _, dir := range []string{original, copied} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	id := identity(original)
	if id != identity(original) || len(id) != 32 {
		t.Errorf("it is %q, and something else the next time", id)
	}
	if id == identity(copied) {
		t.Error("a copy beside it has the same identity")
	}
	if err := os.Rename(original, moved); err != nil {
		t.Fatal(err)
	}
	if id != identity(moved) {
		t.Error("a new path makes another identity of it")
	}
	if _, err := hostIdentity(filepath.Join(parent, "none")); err == nil {
		t.Error("a folder that is not there has an identity")
	}
}
