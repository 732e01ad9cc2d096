package scheduler

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// swallower stands before PostgreSQL. Armed, it lets a commit through and breaks the connection instead of saying so.
type swallower struct {
	// URL is the database's, by way of the swallower.
	URL string
	// armed is how many acknowledgements are still to be lost.
	armed atomic.Int64

	target   string
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	group    sync.WaitGroup
}

func newSwallower(t *testing.T, databaseURL string) *swallower {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	s := &swallower{target: u.Host}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	u.Host = s.listener.Addr().String()
	s.URL = u.String()
	s.group.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

func (s *swallower) accept() {
	for {
		client, err := s.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", s.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		s.mu.Lock()
		s.conns = append(s.conns, client, server)
		s.mu.Unlock()
		s.group.Go(func() { relay(server, client, func([]byte) bool { return false }) })
		s.group.Go(func() { relay(client, server, s.swallows) })
	}
}

// committed is the message by which PostgreSQL acknowledges a commit.
var committed = []byte("C\x00\x00\x00\x0bCOMMIT\x00")

func (s *swallower) swallows(message []byte) bool {
	return bytes.Contains(message, committed) && s.armed.Add(-1) >= 0
}

// relay copies until either side ends or a message is to be lost.
func relay(to, from net.Conn, lost func([]byte) bool) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if lost(buffer[:n]) {
			return
		}
		if _, writeErr := to.Write(buffer[:n]); writeErr != nil || err != nil {
			return
		}
	}
}

func (s *swallower) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.group.Wait()
}
