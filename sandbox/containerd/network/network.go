package network

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/pkg/netns"
	gocni "github.com/containerd/go-cni"
	"github.com/containernetworking/plugins/pkg/ns"
)

// Config says how sandboxes reach the internet.
type Config struct {
	// BinDir has the CNI plugins bridge and host-local, and the plugin firewall where the host has iptables.
	BinDir string
	// StateDir is a folder for this network alone. Names and addresses on the host follow from its path, so that several
	// networks on one host stay apart.
	StateDir string
	// AllowCIDRs are private addresses, or addresses of the host, that may be reached nevertheless.
	AllowCIDRs []string
}

// Network is a bridge with address translation. From it the public internet can be reached, but not the host, other
// sandboxes, or private addresses. It makes the network namespaces of the containers that use it, some ahead of time.
type Network struct {
	config         Config
	bridge, table  string
	subnet         netip.Prefix
	allowed        []netip.Prefix
	resolvers      []netip.Addr
	resolvConfPath string

	mu  sync.Mutex // one CNI operation at a time: the plugins share files
	cni gocni.CNI
	// disconnected has, by id, the ports that Disconnect has cut off.
	disconnected sync.Map
	// watch puts the rules back; nil before the first namespace, and after Close.
	watch *watch
}

// Open reads the configuration. It changes nothing on the host, unless an earlier process left namespaces: then it sees
// to their rules. Otherwise the first Attach does.
func Open(config Config) (_ *Network, err error) {
	if config.StateDir, err = filepath.Abs(config.StateDir); err != nil {
		return nil, fmt.Errorf("network state folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(config.StateDir, "netns"), 0o755); err != nil {
		return nil, fmt.Errorf("make network state folder: %w", err)
	}
	sum := sha256.Sum256([]byte(config.StateDir))
	n := &Network{
		config: config,
		bridge: fmt.Sprintf("attune-%x", sum[:4]),
		table:  fmt.Sprintf("attune_%x", sum[:4]),
		// A /22 out of 10.192.0.0/10, so that two networks of one host rarely overlap.
		subnet:         netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 192 | sum[4]&63, sum[5] &^ 3, 0}), 22),
		resolvConfPath: filepath.Join(config.StateDir, "resolv.conf"),
	}
	for _, text := range config.AllowCIDRs {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("allowed network %q: %w", text, err)
		}
		n.allowed = append(n.allowed, prefix.Masked())
	}
	if n.resolvers, err = writeResolvConf(n.resolvConfPath); err != nil {
		return nil, err
	}
	n.cni, err = gocni.New(
		gocni.WithPluginDir([]string{config.BinDir}), gocni.WithMinNetworkCount(1), gocni.WithInterfacePrefix("eth"))
	if err != nil {
		return nil, fmt.Errorf("set up CNI: %w", err)
	}
	conf, err := n.plugins()
	if err != nil {
		return nil, err
	}
	if err := n.cni.Load(gocni.WithConfListBytes(conf)); err != nil {
		return nil, fmt.Errorf("set up CNI: %w", err)
	}
	left, err := os.ReadDir(n.namespaceDir(""))
	if err != nil {
		return nil, fmt.Errorf("look for network namespaces: %w", err)
	}
	if len(left) > 0 {
		return n, n.openRules(context.Background())
	}
	return n, nil
}

// plugins is the CNI configuration. Address translation is among the rules of firewall.go. The bridge isolates its
// ports, so that sandboxes cannot reach each other.
func (n *Network) plugins() ([]byte, error) {
	chain := []any{map[string]any{
		"type": "bridge", "bridge": n.bridge, "mtu": hostMTU(), "isGateway": true, "portIsolation": true,
		"ipam": map[string]any{
			"type": "host-local", "dataDir": filepath.Join(n.config.StateDir, "addresses"),
			"ranges": []any{[]any{map[string]any{"subnet": n.subnet.String()}}},
			"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
		},
	}}
	if _, err := exec.LookPath("iptables"); err == nil {
		// Docker and ufw drop forwarded packets unless iptables accepts them; the rules of firewall.go cannot overrule that.
		chain = append(chain, map[string]any{"type": "firewall", "backend": "iptables"})
	}
	conf, err := json.Marshal(map[string]any{"cniVersion": "1.0.0", "name": n.bridge, "plugins": chain})
	if err != nil {
		return nil, fmt.Errorf("encode CNI configuration: %w", err)
	}
	return conf, nil
}

// Gateway is the host's address on the bridge. Sandboxes reach it only where AllowCIDRs has it.
func (n *Network) Gateway() netip.Addr { return n.subnet.Addr().Next() }

// ResolvConf is the path of a resolv.conf that works in a sandbox.
func (n *Network) ResolvConf() string { return n.resolvConfPath }

// Attach gives an id a network namespace and returns its path. Detach undoes it, also after an error.
func (n *Network) Attach(ctx context.Context, id string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.openRules(ctx); err != nil {
		return "", err
	}
	dir := n.namespaceDir(id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("make network namespace: %w", err)
	}
	if path, err := n.takeReady(ctx, dir); path != "" || err != nil {
		return path, err
	}
	return n.connect(ctx, dir)
}

// connect makes a namespace in a folder. CNI knows it by the name of its file, so the folder may be renamed.
func (n *Network) connect(ctx context.Context, dir string) (string, error) {
	namespace, err := netns.NewNetNS(dir)
	if err != nil {
		return "", fmt.Errorf("make network namespace: %w", err)
	}
	path := namespace.GetPath()
	// The container runtime brings up the loopback interface only in namespaces that it makes.
	if err := namespace.Do(func(ns.NetNS) error { return setLink("lo", true) }); err != nil {
		return "", fmt.Errorf("set up network namespace: %w", err)
	}
	if _, err := n.cni.Setup(ctx, filepath.Base(path), path); err != nil {
		return "", fmt.Errorf("connect network namespace: %w", err)
	}
	return path, nil
}

// Detach removes the namespace of an id and frees its address. It is idempotent.
func (n *Network) Detach(ctx context.Context, id string) error {
	n.disconnected.Delete(id)
	dir := n.namespaceDir(id)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := n.detach(ctx, dir); err != nil {
		return err
	}
	_ = n.makeReady(ctx) // where it fails, the next Attach says why
	return nil
}

// detach removes the namespace in a folder.
func (n *Network) detach(ctx context.Context, dir string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.clear(ctx, dir)
}

func (n *Network) namespaceDir(id string) string {
	return filepath.Join(n.config.StateDir, "netns", id)
}

// Close removes the bridge and the rules, unless a namespace is still attached: a later process needs them.
func (n *Network) Close(ctx context.Context) error {
	n.stopWatch()
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := errors.Join(n.clearAhead(ctx, readyPrefix), n.clearAhead(ctx, makingPrefix)); err != nil {
		return err
	}
	attached, err := os.ReadDir(n.namespaceDir(""))
	if err != nil || len(attached) > 0 {
		return err
	}
	if _, err := os.Stat("/sys/class/net/" + n.bridge); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(
		command(ctx, "", "ip", "link", "delete", n.bridge),
		command(ctx, fmt.Sprintf("delete table inet %s\n", n.table), "nft", "-f", "-"),
	)
}

// command runs a tool of the host. Its output is in the error.
func command(ctx context.Context, stdin, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdin = strings.NewReader(stdin)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
