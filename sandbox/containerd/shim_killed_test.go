package containerd_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"attune/sandbox"
)

// TestShimIsKilledWhileItMakesASandbox at many instants: whether the sandbox is made or not, nothing of it is left once
// it is removed.
func TestShimIsKilledWhileItMakesASandbox(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.config.Owner = "dies-making"
	s := h.subject(h.open(t))
	for i := range 20 {
		// The first sandbox of a round makes sure that there is a shim.
		before := fmt.Sprintf("before-%d", i)
		if _, err := s.Run(t.Context(), s.Spec(before, "echo"), s.Input(before)); err != nil {
			t.Fatal(err)
		}
		shims := h.shims(t)
		if len(shims) != 1 {
			t.Fatalf("the shims are %v", shims)
		}
		id := fmt.Sprintf("dies-%d", i)
		type creation struct {
			made sandbox.Sandbox
			err  error
		}
		created := make(chan creation, 1)
		go func() {
			made, err := s.Runtime.Create(t.Context(), s.Spec(id, "echo"))
			created <- creation{made, err}
		}()
		time.Sleep(time.Duration(i) * 4 * time.Millisecond) // an instant, not a wait
		kill(t, shims[0])
		c := <-created
		if c.err == nil {
			c.err = c.made.Remove(t.Context())
		}
		if c.err != nil {
			t.Logf("killed after %d ms: %v", i*4, c.err)
		}
		groups, err := filepath.Glob("/sys/fs/cgroup/*" + h.config.CgroupParent + "/" + id)
		if err != nil || len(groups) > 0 {
			t.Errorf("killed after %d ms, its groups are left: %v, %v", i*4, groups, err)
		}
		within(t, "the shim is gone", func() bool { return !slices.Contains(h.shims(t), shims[0]) })
	}
	s.AwaitNone(t)
}
