package sandboxtest_test

import (
	"errors"
	"strings"
	"testing"

	"attune/sandbox"
	"attune/sandbox/sandboxtest"
	"attune/sandbox/sandboxtest/probe"
)

func TestFake(t *testing.T) {
	t.Parallel()
	sandboxtest.Suite(t, func(*testing.T) sandboxtest.Subject {
		return sandboxtest.Subject{
			Runtime: sandboxtest.NewFake(probe.Run), ImageDigest: "sha256:" + strings.Repeat("0", 64),
		}
	})
}

// TestFakeAfterABoot: a test can have the host lose what it knew.
func TestFakeAfterABoot(t *testing.T) {
	t.Parallel()
	f := sandboxtest.NewFake(probe.Run)
	want := func(execution string, want error) {
		t.Helper()
		if _, _, err := f.Attach(t.Context(), execution); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", execution, err, want)
		}
	}
	f.Begin("begun")
	want("begun", sandbox.ErrGone)
	want("unheard-of", sandbox.ErrNotStarted)
	f.Reboot()
	want("unheard-of", sandbox.ErrGone)
	if err := f.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("unheard-of", sandbox.ErrGone)
	want("another", sandbox.ErrNotStarted)
}
