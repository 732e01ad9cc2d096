package daemon_test

import (
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// nobody is another user of the host.
const nobody = 65534

// TestOthersCannotPoseAsPostgreSQL: while it is away, another user has taken its port, and asks for the password.
func TestOthersCannotPoseAsPostgreSQL(t *testing.T) {
	t.Parallel()
	config := setup(t)
	config.MinIO, config.Containerd = false, false
	set := start(t, config)
	connection, err := pgx.ParseConfig(set.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(int(connection.Port))
	fake := askForPasswords(t, net.JoinHostPort("127.0.0.1", port))
	socket := filepath.Join(connection.Host, ".s.PGSQL."+port)
	pose := exec.CommandContext(t.Context(), "touch", socket)
	pose.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := pose.CombinedOutput(); err == nil || !strings.Contains(string(out), "Permission denied") {
		t.Errorf("another user makes %s: %v: %s", socket, err, out)
	}
	if conn, err := pgx.Connect(t.Context(), set.DatabaseURL); err == nil {
		t.Errorf("it is connected to another's server: %v", conn.Close(t.Context()))
	}
	if fake.Load() > 0 {
		t.Error("another's server was asked")
	}
}

// askForPasswords serves as a PostgreSQL that wants the password in clear text, and counts its clients.
func askForPasswords(t *testing.T, address string) *atomic.Int32 {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var clients atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			clients.Add(1)
			_, _ = conn.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3})
			_, _ = io.CopyN(io.Discard, conn, 100)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return &clients
}
