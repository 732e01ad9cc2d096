//go:build cgo

package early

import (
	"errors"
	"os"
	"os/exec"
	"testing"
)

// TestMain says so where it is reached by a program that a test started.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && (os.Args[1] == "init" || os.Args[1] == "serve") {
		_, _ = os.Stdout.WriteString("main")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestInitNeverReachesMain: what is to become a container and cannot, ends, whatever else the program could do.
func TestInitNeverReachesMain(t *testing.T) {
	t.Parallel()
	said, err := exec.CommandContext(t.Context(), os.Args[0], "init").Output()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed || len(said) > 0 {
		t.Errorf("it says %q, %v", said, err)
	}
	if said, err := exec.CommandContext(t.Context(), os.Args[0], "serve").Output(); err != nil || string(said) != "main" {
		t.Errorf("another says %q, %v", said, err)
	}
}
