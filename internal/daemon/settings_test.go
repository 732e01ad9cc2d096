package daemon

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

func TestSettingsAreMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemons.json")
	made, err := loadSettings(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.choosePorts(); err != nil {
		t.Fatal(err)
	}
	if made.PostgresPort == made.S3Port {
		t.Errorf("both daemons got port %d", made.S3Port)
	}
	if len(made.PostgresPassword) < 26 || len(made.S3SecretKey) < 26 || made.PostgresPassword == made.S3SecretKey {
		t.Error("the passwords are short, or the same")
	}
	kept, err := loadSettings(path)
	if err != nil {
		t.Fatal(err)
	}
	if *kept != *made {
		t.Error("the second load gives other settings than the first")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %04o, want 0600", info.Mode().Perm())
	}
}

func TestAPortThatSomebodyTookIsGivenUp(t *testing.T) {
	t.Parallel()
	stranger, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Close() }()
	taken := stranger.Addr().(*net.TCPAddr).Port
	s := &settings{path: filepath.Join(t.TempDir(), "daemons.json"), PostgresPort: taken}
	if err := s.choosePorts(); err != nil {
		t.Fatal(err)
	}
	if s.PostgresPort == taken || s.PostgresPort < firstPort || s.PostgresPort > lastPort {
		t.Errorf("PostgreSQL gets port %d, while %d is taken", s.PostgresPort, taken)
	}
	kept, err := loadSettings(s.path)
	if err != nil || kept.PostgresPort != s.PostgresPort {
		t.Errorf("the new port was not kept: %+v, %v", kept, err)
	}
}

func TestBrokenSettingsAreNotOverwritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemons.json")
	if err := os.WriteFile(path, []byte(`{"postgres_password": "hal`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadSettings(path); err == nil {
		t.Error("half a file was taken for settings")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != `{"postgres_password": "hal` {
		t.Errorf("the file changed to %q, %v", text, err)
	}
}

func TestTailOfGivesTheEndOfALog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.ByteRange('a', 'z'), 0, 2*tailLogBytes).Draw(t, "text")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, want := tailOf(path), string(text[max(0, len(text)-tailLogBytes):]); got != want {
			t.Fatalf("got %d bytes, want %d", len(got), len(want))
		}
	})
}
