package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/netns"
	"github.com/containernetworking/plugins/pkg/ns"
)

// The world outside, in a network namespace of its own: an address as the internet has them, and a private one.
const (
	publicAddress  = "203.0.113.2"
	privateAddress = "10.77.113.2"
)

// outside makes the world. A connection to one of its ports is answered with the address of the other side.
func outside(t *testing.T) {
	t.Helper()
	world, err := netns.NewNetNS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) error { return command(context.WithoutCancel(t.Context()), "", "ip", args...) }
	t.Cleanup(func() {
		if err := errors.Join(run("link", "delete", "attune-test"), world.Remove()); err != nil {
			t.Error(err)
		}
	})
	err = errors.Join(
		run("link", "add", "attune-test", "type", "veth", "peer", "name", "world", "netns", world.GetPath()),
		run("address", "add", "203.0.113.1/24", "dev", "attune-test"), run("link", "set", "attune-test", "up"),
		world.Do(func(ns.NetNS) error {
			return errors.Join(
				run("address", "add", publicAddress+"/24", "dev", "world"),
				run("address", "add", privateAddress+"/32", "dev", "world"),
				run("link", "set", "world", "up"), run("link", "set", "lo", "up"),
			)
		}),
		run("route", "add", privateAddress+"/32", "via", publicAddress),
	)
	if err != nil {
		t.Fatal(err)
	}
	err = world.Do(func(ns.NetNS) error { return answer(t, "0.0.0.0:80") })
	if err != nil {
		t.Fatal(err)
	}
}

// answer answers every connection with the address of the other side, until the test ends.
func answer(t *testing.T, address string) error {
	t.Helper()
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			_, _ = fmt.Fprintln(conn, host)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return nil
}

// seenFrom dials an address in a namespace. It returns the address that the other side saw, empty when it could not be
// reached.
func seenFrom(t *testing.T, namespace, address string) (seen string) {
	t.Helper()
	err := netns.LoadNetNS(namespace).Do(func(ns.NetNS) error {
		conn, err := net.DialTimeout("tcp4", address, 700*time.Millisecond)
		if err != nil {
			return nil //nolint:nilerr // That is what is asked.
		}
		defer func() { _ = conn.Close() }()
		_, err = fmt.Fscanln(conn, &seen)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func attached(t *testing.T, n *Network, ids ...string) (paths []string) {
	t.Helper()
	for _, id := range ids {
		t.Cleanup(func() {
			if err := n.Detach(context.WithoutCancel(t.Context()), id); err != nil {
				t.Error(err)
			}
		})
		path, err := n.Attach(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestEgressLeadsOutAndNowhereElse(t *testing.T) {
	t.Parallel()
	outside(t)
	closed, open := testNetwork(t), testNetwork(t, privateAddress+"/32")
	for _, n := range []*Network{closed, open} {
		t.Cleanup(func() {
			if err := n.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	inside := attached(t, closed, "a", "b")
	allowed := attached(t, open, "c")[0]
	if seen := seenFrom(t, inside[0], publicAddress+":80"); seen != "203.0.113.1" {
		t.Errorf("the public address saw %q, want the host", seen)
	}
	if seen := seenFrom(t, inside[0], privateAddress+":80"); seen != "" {
		t.Error("a private address was reached")
	}
	if seen := seenFrom(t, allowed, privateAddress+":80"); seen == "" {
		t.Error("a private address that is allowed was not reached")
	}
	neighbor := addressOf(t, closed, "b") + ":80"
	if err := netns.LoadNetNS(inside[1]).Do(func(ns.NetNS) error { return answer(t, neighbor) }); err != nil {
		t.Fatal(err)
	}
	if seenFrom(t, inside[1], neighbor) == "" {
		t.Error("the neighbor does not listen")
	}
	if seenFrom(t, inside[0], neighbor) != "" || seenFrom(t, allowed, neighbor) != "" {
		t.Error("a neighbor was reached, on the same bridge or from another")
	}
}

// addressOf is the address that a namespace has, as the plugin keeps it.
func addressOf(t *testing.T, n *Network, id string) (address string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(n.namespaceDir(id), "*"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("namespaces of %s: %v, %v", id, paths, err)
	}
	err = netns.LoadNetNS(paths[0]).Do(func(ns.NetNS) error {
		all, err := net.InterfaceAddrs()
		for _, one := range all {
			if prefix, parseErr := netip.ParsePrefix(one.String()); parseErr == nil && n.subnet.Contains(prefix.Addr()) {
				address = prefix.Addr().String()
			}
		}
		return err
	})
	if err != nil || address == "" {
		t.Fatalf("address of %s: %q, %v", id, address, err)
	}
	return address
}

// TestDisconnectedNamespaceReachesNothing, and everything that it may as soon as it is connected. That holds for one
// that was made ahead, too.
func TestDisconnectedNamespaceReachesNothing(t *testing.T) {
	t.Parallel()
	n := testNetwork(t)
	n.allowed = append(n.allowed, netip.PrefixFrom(n.Gateway(), 32))
	t.Cleanup(func() {
		if err := n.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	for _, id := range []string{"a", "b"} {
		inside := attached(t, n, id)[0]
		if id == "a" {
			if err := answer(t, n.Gateway().String()+":80"); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.Disconnect(id); err != nil {
			t.Fatal(err)
		}
		if seenFrom(t, inside, n.Gateway().String()+":80") != "" {
			t.Errorf("%s reached the gateway", id)
		}
		for range 2 {
			if err := n.Connect(id); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if seenFrom(t, inside, n.Gateway().String()+":80") == "" {
			t.Errorf("%s did not reach the gateway", id)
		}
		t.Logf("%s connected in %v", id, time.Since(began))
		if err := n.Detach(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Disconnect("nothing"); err == nil {
		t.Error("an id without a namespace was disconnected")
	}
}

// TestEgressAsksTheResolver: a name server on the host can be asked on its port, and nothing else there.
func TestEgressAsksTheResolver(t *testing.T) {
	t.Parallel()
	n := testNetwork(t)
	n.resolvers = append(n.resolvers, n.Gateway())
	t.Cleanup(func() {
		if err := n.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	inside := attached(t, n, "a")[0]
	for _, port := range []string{"53", "5353"} {
		if err := answer(t, n.Gateway().String()+":"+port); err != nil {
			t.Fatal(err)
		}
	}
	if seenFrom(t, inside, n.Gateway().String()+":53") == "" {
		t.Error("the name server was not reached")
	}
	if seenFrom(t, inside, n.Gateway().String()+":5353") != "" {
		t.Error("another port of the host was reached")
	}
}
