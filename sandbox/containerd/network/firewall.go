package network

import (
	"context"
	"fmt"
	"strings"
)

// privateNetworks are not part of the public internet: this network, private use, carrier-grade translation, loopback,
// link-local with the metadata services of most clouds, the addresses where two more clouds have theirs, benchmarks,
// multicast and reserved.
const privateNetworks = "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 168.63.129.16, 169.254.0.0/16, " +
	"172.16.0.0/12, 192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3"

// openRules writes the rules before the first packet, even where another program has removed them, and watches them
// from then on. The caller holds the lock.
func (n *Network) openRules(ctx context.Context) error {
	if err := n.startWatch(); err != nil {
		return err
	}
	return n.applyRules(ctx)
}

// applyRules replaces the whole table in one transaction of the kernel.
func (n *Network) applyRules(ctx context.Context) error {
	if err := command(ctx, n.rules(), "nft", "-f", "-"); err != nil {
		return fmt.Errorf("write network rules: %w", err)
	}
	return nil
}

// rules is the table. No connection is opened towards the bridge. Sandboxes may answer, ask the resolvers, and connect
// to the public internet and to allowed addresses; the host is closed. They have no IPv6 address, and IPv6 packets are
// dropped.
func (n *Network) rules() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %[1]s {}\ndelete table inet %[1]s\ntable inet %[1]s {\n", n.table)
	fmt.Fprintf(&b, "chain forward {\ntype filter hook forward priority -10; policy accept;\n"+
		"oifname %[1]q ct state != { established, related } drop\niifname != %[1]q return\n", n.bridge)
	b.WriteString("meta nfproto ipv6 drop\nct state established,related accept\n")
	n.allow(&b)
	fmt.Fprintf(&b, "ip daddr { %s } drop\n}\n", privateNetworks)
	fmt.Fprintf(&b, "chain input {\ntype filter hook input priority -10; policy accept;\niifname != %q return\n", n.bridge)
	b.WriteString("ct state established,related accept\n")
	n.allow(&b)
	b.WriteString("drop\n}\n")
	fmt.Fprintf(&b, "chain postrouting {\ntype nat hook postrouting priority 100;\n"+
		"ip saddr %s oifname != %q masquerade\n}\n}\n", n.subnet, n.bridge)
	return b.String()
}

// allow opens the resolvers, which may be on the host itself, and the allowed addresses.
func (n *Network) allow(b *strings.Builder) {
	for _, r := range n.resolvers {
		fmt.Fprintf(b, "ip daddr %[1]s udp dport 53 accept\nip daddr %[1]s tcp dport 53 accept\n", r)
	}
	for _, prefix := range n.allowed {
		if prefix.Addr().Is4() {
			fmt.Fprintf(b, "ip daddr %s accept\n", prefix)
		}
	}
}
