package network

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func testNetwork(t *testing.T, allow ...string) *Network {
	t.Helper()
	bin := os.Getenv("ATTUNE_TEST_BIN_DIR")
	if bin == "" {
		t.Fatal("ATTUNE_TEST_BIN_DIR is not set; run make test")
	}
	network, err := Open(Config{BinDir: bin, StateDir: t.TempDir(), AllowCIDRs: allow})
	if err != nil {
		t.Fatal(err)
	}
	return network
}

func TestReadResolvConf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, kept, resolvers string }{
		"plain":   {"# made by hand\nnameserver 10.1.2.3\n", "nameserver 10.1.2.3\n", "10.1.2.3"},
		"stub":    {"nameserver 127.0.0.53\nsearch example.org\n", "search example.org\n", ""},
		"mixed":   {"nameserver ::1\nnameserver fd00::1\nnameserver 9.9.9.9\n", "nameserver 9.9.9.9\n", "9.9.9.9"},
		"garbage": {"nameserver\nnameserver here\noptions\n", "", ""},
	} {
		resolvers, kept := readResolvConf([]byte(c.text))
		var got []string
		for _, r := range resolvers {
			got = append(got, r.String())
		}
		if string(kept) != c.kept || strings.Join(got, " ") != c.resolvers {
			t.Errorf("%s: kept %q, resolvers %v", name, kept, got)
		}
	}
}

func TestRulesNameWhatIsClosed(t *testing.T) {
	t.Parallel()
	n := &Network{
		bridge: "attune-test", table: "attune_test", subnet: netip.MustParsePrefix("10.200.0.0/22"),
		resolvers: []netip.Addr{netip.MustParseAddr("10.1.2.3")},
		allowed:   []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")},
	}
	rules := n.rules()
	order := []string{
		"chain forward", "ct state != { established, related } drop", "meta nfproto ipv6 drop",
		"ip daddr 10.1.2.3 udp dport 53 accept", "ip daddr 10.9.0.0/16 accept", "169.254.0.0/16",
		"chain input", "ip daddr 10.9.0.0/16 accept", "drop\n}", "masquerade",
	}
	rest := rules
	for _, want := range order {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("%q is not there, or not in its place:\n%s", want, rules)
		}
		rest = after
	}
	for _, closed := range []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "168.63.129.16", "192.0.0.0/24",
	} {
		if !strings.Contains(rules, closed) {
			t.Errorf("%s is open", closed)
		}
	}
}

func TestOpenRefusesBadNetworks(t *testing.T) {
	t.Parallel()
	if _, err := Open(Config{StateDir: t.TempDir(), AllowCIDRs: []string{"10.0.0.0/33"}}); err == nil {
		t.Error("a network that is none was let through")
	}
}

// addresses are those that the address plugin has given away.
func addresses(t *testing.T, n *Network) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(n.config.StateDir, "addresses", n.bridge))
	if err != nil {
		t.Fatal(err)
	}
	var given []string
	for _, entry := range entries {
		if _, err := netip.ParseAddr(entry.Name()); err == nil {
			given = append(given, entry.Name())
		}
	}
	return given
}

func TestDetachLeavesNothing(t *testing.T) {
	t.Parallel()
	n := testNetwork(t)
	path, err := n.Attach(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Attach(t.Context(), "a"); err == nil {
		t.Error("one id got two namespaces")
	}
	if given := addresses(t, n); len(given) != 1 {
		t.Errorf("addresses %v", given)
	}
	for range 2 {
		if err := n.Detach(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("its namespace is left")
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if given := addresses(t, n); len(given) > 0 {
		t.Errorf("addresses %v are still taken", given)
	}
	if left, err := os.ReadDir(n.namespaceDir("")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if _, err := os.Stat("/sys/class/net/" + n.bridge); err == nil {
		t.Error("the bridge is left")
	}
}

// TestDetachAfterARestartOfTheHost: the mount of the namespace is gone then, and its file is there.
func TestDetachAfterARestartOfTheHost(t *testing.T) {
	t.Parallel()
	n := testNetwork(t)
	path, err := n.Attach(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := n.Detach(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(n.namespaceDir("")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if given := addresses(t, n); len(given) > 0 {
		t.Errorf("addresses %v are still taken", given)
	}
}

// TestNamespacesAreMadeAhead: Detach makes the next namespace, which is as good as a new one, and given to one sandbox
// only.
func TestNamespacesAreMadeAhead(t *testing.T) {
	t.Parallel()
	n := testNetwork(t)
	t.Cleanup(func() {
		if err := n.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if ready, err := n.ahead(readyPrefix); err != nil || len(ready) > 0 {
		t.Fatalf("ready before anybody had a use for it: %v, %v", ready, err)
	}
	for _, id := range []string{"a", "b"} {
		attached(t, n, id)
	}
	for _, id := range []string{"a", "b"} {
		if err := n.Detach(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	ready, err := filepath.Glob(n.namespaceDir(readyPrefix + "*/*"))
	if err != nil || len(ready) != 2 {
		t.Fatalf("ready: %v, %v", ready, err)
	}
	// One is half made, as after a crash.
	if err := os.Rename(filepath.Dir(ready[0]), n.namespaceDir(makingPrefix+"x")); err != nil {
		t.Fatal(err)
	}
	taken := attached(t, n, "c", "d")
	if filepath.Base(taken[0]) != filepath.Base(ready[1]) || filepath.Base(taken[1]) == filepath.Base(ready[0]) {
		t.Errorf("ready were %v, taken %v", ready, taken)
	}
	if addressOf(t, n, "c") == addressOf(t, n, "d") {
		t.Error("two have one address")
	}
}

func TestNamespaceThatWentWithTheHostIsNotGiven(t *testing.T) {
	t.Parallel()
	n := testNetwork(t)
	t.Cleanup(func() {
		if err := n.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	attached(t, n, "a")
	if err := n.Detach(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	ready, err := filepath.Glob(n.namespaceDir(readyPrefix + "*/*"))
	if err != nil || len(ready) != 1 {
		t.Fatalf("ready: %v, %v", ready, err)
	}
	if err := unix.Unmount(ready[0], unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	attached(t, n, "b")
	addressOf(t, n, "b")
	if given := addresses(t, n); len(given) != 1 {
		t.Errorf("addresses %v are taken", given)
	}
}

func TestSubnetsOfTwoNetworksDiffer(t *testing.T) {
	t.Parallel()
	private := netip.MustParsePrefix("10.192.0.0/10")
	var bridges []string
	for range 3 {
		n, err := Open(Config{StateDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if !private.Contains(n.Gateway()) || len(n.bridge) > 15 || slices.Contains(bridges, n.bridge) {
			t.Errorf("bridge %s at %s", n.bridge, n.Gateway())
		}
		bridges = append(bridges, n.bridge)
	}
}
