package containerd

import (
	"errors"
	"os"
	"testing"

	"attune/sandbox"
)

// TestAttachedSandboxKeepsItsIDs: the ids of one that an earlier process made are not given to another.
func TestAttachedSandboxKeepsItsIDs(t *testing.T) {
	t.Parallel()
	const base = firstHostID + 7*idRangeSize
	config := stateFolder(t)
	c := &Runtime{config: config, assignments: assignmentsOf(t, config, "this boot")}
	dir := c.config.runDir("earlier")
	t.Cleanup(func() { _ = dir.remove() })
	err := errors.Join(
		dir.create(base+nobody),
		os.WriteFile(dir.assignment(), []byte(`{"sandbox": "earlier", "execution": "e-1"}`), 0o600),
		dir.keepExit(sandbox.Exit{Code: 3}),
		c.assignments.add("e-1", dir.assignment()),
	)
	if err != nil {
		t.Fatal(err)
	}
	if _, id, err := c.Attach(t.Context(), "e-1"); err != nil || id != "earlier" {
		t.Fatalf("attached %q, %v", id, err)
	}
	for range (endHostID-firstHostID)/idRangeSize - 1 {
		if got, err := c.ids.take(); err != nil || got == base {
			t.Fatalf("another was given %d, %v", got, err)
		}
	}
	if got, err := c.ids.take(); err == nil {
		t.Errorf("another was given %d", got)
	}
}
