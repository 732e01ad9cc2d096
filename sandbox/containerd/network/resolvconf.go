package network

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// ResolvConfs are the files where a host may keep its resolvers. The second has those behind systemd's local stub.
func ResolvConfs() []string { return []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} }

// writeResolvConf writes a resolv.conf with the host's resolvers that can be reached from another network namespace.
// Without any, sandboxes resolve no names, and `attune doctor` says so; addresses still work.
func writeResolvConf(path string) ([]netip.Addr, error) {
	resolvers, kept := Resolvers(ResolvConfs())
	if err := os.WriteFile(path, kept, 0o644); err != nil {
		return nil, fmt.Errorf("write resolv.conf: %w", err)
	}
	return resolvers, nil
}

// Resolvers returns the resolvers of the first file that has any which another network namespace can reach, and the
// lines to keep of it.
func Resolvers(files []string) (resolvers []netip.Addr, kept []byte) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the next may be there
		}
		if resolvers, kept = readResolvConf(text); len(resolvers) > 0 {
			return resolvers, kept
		}
	}
	return nil, nil
}

func readResolvConf(text []byte) (resolvers []netip.Addr, kept []byte) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			if len(fields) > 1 && (fields[0] == "search" || fields[0] == "options") {
				kept = append(kept, lines.Text()+"\n"...)
			}
			continue
		}
		if address, err := netip.ParseAddr(fields[1]); err == nil && address.Is4() && !address.IsLoopback() {
			resolvers = append(resolvers, address)
			kept = append(kept, lines.Text()+"\n"...)
		}
	}
	return resolvers, kept
}
