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
	c := &Runtime{config: Config{StateDir: t.TempDir()}}
	files := runFiles{c.runDir("earlier")}
	err := errors.Join(
		os.MkdirAll(c.config.runsDir(), 0o700), os.MkdirAll(c.config.executionsDir(), 0o700), files.create(base+nobody),
		os.WriteFile(files.assignment(), []byte(`{"sandbox": "earlier", "execution": "e-1"}`), 0o600), files.keepExit(sandbox.Exit{Code: 3}),
		os.Link(files.assignment(), c.config.link("e-1")),
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
