package storagetest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy is a TCP proxy that can be cut, as a network can.
type Proxy struct {
	// Address is where it listens.
	Address  string
	tb       testing.TB
	target   string
	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
	group    sync.WaitGroup
}

// NewProxy starts a proxy to an address. It is cut when the test ends.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	p := &Proxy{Address: "127.0.0.1:0", tb: tb, target: target}
	p.Open()
	tb.Cleanup(func() {
		p.Cut()
		p.group.Wait()
	})
	return p
}

// Open lets connections through again, at the same address.
func (p *Proxy) Open() {
	p.tb.Helper()
	listener, err := net.Listen("tcp", p.Address)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.listener, p.Address = listener, listener.Addr().String()
	p.group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.join(client)
		}
	})
}

func (p *Proxy) join(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		p.group.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].Close()
			_ = pair[1].Close()
		})
	}
}

// Cut breaks the connections there are and refuses new ones.
func (p *Proxy) Cut() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}
