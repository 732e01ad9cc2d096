package api

import (
	"net"
	"net/http"
	"sync"
)

// Connections that are open at once: of all clients, and of one address.
const (
	maxConnections        = 4096
	maxAddressConnections = 512
)

// connections counts open connections. One too many is closed before anything of it is read.
type connections struct {
	mu        sync.Mutex
	all       int
	addresses map[string]int
}

// changed is called by the server for each change of a connection's state.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	address, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		address = conn.RemoteAddr().String()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.all++
		if c.addresses[address]++; c.all > maxConnections || c.addresses[address] > maxAddressConnections {
			_ = conn.Close()
		}
	case http.StateClosed, http.StateHijacked:
		c.all--
		if c.addresses[address]--; c.addresses[address] == 0 {
			delete(c.addresses, address)
		}
	case http.StateActive, http.StateIdle:
	}
}
