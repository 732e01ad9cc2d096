package network

import (
	"context"
	"net"
	"testing"
	"time"
)

// TestRulesThatAnotherProgramRemovesComeBack: meanwhile a sandbox has no network, rather than the host's.
func TestRulesThatAnotherProgramRemovesComeBack(t *testing.T) {
	t.Parallel()
	n := testNetwork(t)
	n.resolvers = append(n.resolvers, n.Gateway())
	t.Cleanup(func() {
		if err := n.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	inside := attached(t, n, "a")[0]
	open, closed := n.Gateway().String()+":53", n.Gateway().String()+":8080"
	for _, address := range []string{open, closed} {
		if err := answer(t, address); err != nil {
			t.Fatal(err)
		}
	}
	wantRules := func(after string) {
		t.Helper()
		if seenFrom(t, inside, open) == "" {
			t.Errorf("after %q there is no network", after)
		}
		if seenFrom(t, inside, closed) != "" {
			t.Errorf("after %q the host is open", after)
		}
	}
	wantRules("nothing")
	for _, removal := range []string{
		"delete table inet " + n.table, "flush table inet " + n.table, "flush chain inet " + n.table + " input",
	} {
		n.mu.Lock() // nothing is put back yet
		if err := command(t.Context(), removal+"\n", "nft", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		awaitLink(t, n.bridge, 0)
		if seenFrom(t, inside, closed) != "" {
			t.Errorf("until %q is undone, the host is open", removal)
		}
		n.mu.Unlock()
		if took := awaitLink(t, n.bridge, net.FlagUp); took > time.Second {
			t.Errorf("after %q the rules are back after %s", removal, took)
		}
		wantRules(removal)
	}
}

// awaitLink waits until an interface is up, or down, and says how long that took.
func awaitLink(t *testing.T, name string, up net.Flags) time.Duration {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); ; <-tick.C {
		link, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if link.Flags&net.FlagUp == up {
			return time.Since(begin)
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("the bridge stays %s", link.Flags)
		}
	}
}

// TestNextProcessWatchesWhatIsLeft: the rules went while no process was there.
func TestNextProcessWatchesWhatIsLeft(t *testing.T) {
	t.Parallel()
	first := testNetwork(t)
	attached(t, first, "a")
	first.stopWatch()
	if err := command(t.Context(), "delete table inet "+first.table+"\n", "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	next, err := Open(first.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := command(t.Context(), "", "nft", "list", "table", "inet", next.table); err != nil {
		t.Errorf("the rules are not there: %v", err)
	}
	if err := next.Detach(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := next.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
