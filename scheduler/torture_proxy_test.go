package scheduler

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// swallower stands before PostgreSQL. Armed, it lets a commit through and breaks the connection instead of saying so.
type swallower struct {
	// URL is the database's, by way of the swallower.
	URL string
	// armed is how many acknowledgements are still to be lost.
	armed atomic.Int64

	target   string
	telltale []byte
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	group    sync.WaitGroup
}

// Telltales of what is acknowledged.
var (
	ofAnything []byte
	// ofCommit is PostgreSQL's answer to the statement of this name.
	ofCommit = []byte("C\x00\x00\x00\x0bCOMMIT\x00")
	// ofClaims is the digest of an image, which each claim has with it.
	ofClaims = []byte("sha256:")
)

// newSwallower makes one that loses acknowledgements with a telltale in them.
func newSwallower(t *testing.T, databaseURL string, telltale []byte) *swallower {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	s := &swallower{target: u.Host, telltale: telltale}
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

// idle is how each answer ends after which no transaction is open: what was asked for is committed.
var idle = []byte("Z\x00\x00\x00\x05I")

func (s *swallower) swallows(message []byte) bool {
	return s.armed.Load() > 0 && bytes.HasSuffix(message, idle) && bytes.Contains(message, s.telltale) &&
		s.armed.Add(-1) >= 0
}

// await returns when everything has been lost that was to be.
func (s *swallower) await(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for s.armed.Load() > 0 {
		if !pause(ctx, time.Millisecond) {
			t.Fatalf("%d acknowledgements were to be lost and never came", s.armed.Load())
		}
	}
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
