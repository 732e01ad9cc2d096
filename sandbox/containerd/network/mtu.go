package network

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"strings"
)

// usualMTU is that of Ethernet.
const usualMTU = 1500

// hostMTU is the MTU of the host's default route. In clouds and behind tunnels it is less than usual. A bridge with a
// larger one loses large packets silently where the messages about their size are filtered.
func hostMTU() int {
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return usualMTU
	}
	way, err := net.InterfaceByName(defaultRoute(routes))
	if err != nil {
		return usualMTU
	}
	return min(way.MTU, usualMTU)
}

// defaultRoute is the interface of the first default route in the kernel's table, empty when there is none.
func defaultRoute(routes []byte) string {
	const (
		interfaceColumn   = 0
		destinationColumn = 1
		maskColumn        = 7
	)
	for lines := bufio.NewScanner(bytes.NewReader(routes)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > maskColumn && fields[destinationColumn] == "00000000" && fields[maskColumn] == "00000000" {
			return fields[interfaceColumn]
		}
	}
	return ""
}
