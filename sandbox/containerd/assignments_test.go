package containerd

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"attune/sandbox"
)

// assignmentsOf plays a process of an owner, in a boot of the host.
func assignmentsOf(t *testing.T, config Config, boot string) *assignments {
	t.Helper()
	a, err := openAssignments(&config, boot)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// stateFolder is the configuration of an owner that has done nothing yet.
func stateFolder(t *testing.T) Config {
	t.Helper()
	config := Config{StateDir: t.TempDir()}
	if err := errors.Join(os.Mkdir(config.runsDir(), 0o700), os.Mkdir(config.executionsDir(), 0o700)); err != nil {
		t.Fatal(err)
	}
	return config
}

// wantFound asks for the sandbox of an execution.
func wantFound(t *testing.T, a *assignments, execution string, want error) {
	t.Helper()
	if id, err := a.find(execution); !errors.Is(err, want) {
		t.Errorf("%s: found %q, %v; want %v", execution, id, err, want)
	}
}

// TestMissingRecordProvesNothingAfterABoot: what a process wrote is there when it has died, and may not be when its
// kernel has.
func TestMissingRecordProvesNothingAfterABoot(t *testing.T) {
	t.Parallel()
	config := stateFolder(t)
	first := assignmentsOf(t, config, "first boot")
	wantFound(t, first, "of unknown times", sandbox.ErrGone)
	if err := first.settle(); err != nil {
		t.Fatal(err)
	}
	wantFound(t, first, "unheard of", sandbox.ErrNotStarted)
	wantFound(t, assignmentsOf(t, config, "first boot"), "unheard of", sandbox.ErrNotStarted)
	wantFound(t, assignmentsOf(t, config, "first boot"), "of unknown times", sandbox.ErrGone)

	second := assignmentsOf(t, config, "second boot")
	wantFound(t, second, "unheard of", sandbox.ErrGone)
	// It dies before it has settled what was left to it, and so does the next.
	wantFound(t, assignmentsOf(t, config, "second boot"), "another", sandbox.ErrGone)
	last := assignmentsOf(t, config, "second boot")
	wantFound(t, last, "unheard of", sandbox.ErrGone)
	if err := last.settle(); err != nil {
		t.Fatal(err)
	}
	next := assignmentsOf(t, config, "second boot")
	wantFound(t, next, "unheard of", sandbox.ErrGone)
	wantFound(t, next, "claimed since", sandbox.ErrNotStarted)
	if err := next.remove("unheard of"); err != nil {
		t.Fatal(err)
	}
	wantFound(t, next, "unheard of", sandbox.ErrNotStarted)
}

// TestRecordOutlivesItsSandbox, but not the processes that ask for its execution.
func TestRecordOutlivesItsSandbox(t *testing.T) {
	t.Parallel()
	for _, boot := range []string{"first boot", "second boot"} {
		config := stateFolder(t)
		a := assignmentsOf(t, config, "first boot")
		for _, name := range []string{"asked for", "over"} {
			dir := runDir(filepath.Join(config.runsDir(), name))
			text := []byte(`{"sandbox": "` + name + `"}`)
			err := errors.Join(os.Mkdir(string(dir), 0o700), os.WriteFile(dir.assignment(), text, 0o600),
				a.add(name, dir.assignment()))
			if err != nil {
				t.Fatal(err)
			}
			if err := a.add(name, dir.assignment()); err == nil {
				t.Errorf("%s was given two sandboxes", name)
			}
		}
		if err := errors.Join(a.settle(), os.RemoveAll(filepath.Join(config.runsDir(), "asked for"))); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			next := assignmentsOf(t, config, boot)
			if id, err := next.find("asked for"); err != nil || id != "asked for" {
				t.Errorf("in the %s: %q, %v", boot, id, err)
			}
			if err := next.settle(); err != nil {
				t.Fatal(err)
			}
			left, err := os.ReadDir(config.executionsDir())
			if err != nil || len(left) != 1 {
				t.Errorf("in the %s: %d records are left, %v", boot, len(left), err)
			}
			wantFound(t, next, "over", sandbox.ErrNotStarted)
		}
	}
}
