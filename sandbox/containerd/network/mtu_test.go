package network

import "testing"

func TestDefaultRoute(t *testing.T) {
	t.Parallel()
	const header = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	const local = "br0\t00E4ED0A\t00000000\t0001\t0\t0\t0\t00FCFFFF\t0\t0\t0\n"
	const way = "tun0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
	for table, want := range map[string]string{header + local + way: "tun0", header + local: "", "": ""} {
		if got := defaultRoute([]byte(table)); got != want {
			t.Errorf("way out of\n%sis %q, want %q", table, got, want)
		}
	}
	if mtu := hostMTU(); mtu < 576 || mtu > usualMTU {
		t.Errorf("MTU is %d", mtu)
	}
}
