package containerd_test

import (
	"net"
	"testing"
)

// listenEverywhere accepts connections on all addresses of the host until the test ends, and returns the port.
func listenEverywhere(tb testing.TB) int {
	tb.Helper()
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		tb.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	tb.Cleanup(func() {
		_ = listener.Close()
		<-served
	})
	return listener.Addr().(*net.TCPAddr).Port
}
