//go:build cgo

package deleted

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain says so where Go is reached in a program that a test started.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "program" {
		_, _ = os.Stdout.WriteString("go")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestEndsBeforeGo: the program ends at once where a container was deleted in order, and goes on in every other case.
func TestEndsBeforeGo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		note bool
		want string
	}{
		"deleted in order":  {[]string{"-id", "some", "delete"}, false, ""},
		"its shim has died": {[]string{"-id", "some", "delete"}, true, "go"},
		"another command":   {[]string{"serve", "-socket", "delete", "here"}, false, "go"},
		"like the command":  {[]string{"undelete"}, false, "go"},
		"longer than all":   {[]string{strings.Repeat("x", 8192), "delete"}, false, "go"},
	} {
		bundle := t.TempDir()
		if c.note {
			if err := os.WriteFile(filepath.Join(bundle, Note), []byte("/root"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		command := exec.CommandContext(t.Context(), os.Args[0], append([]string{"program"}, c.args...)...)
		command.Dir = bundle
		if said, err := command.Output(); err != nil || string(said) != c.want {
			t.Errorf("%s: it says %q, %v, not %q", name, said, err, c.want)
		}
	}
}
