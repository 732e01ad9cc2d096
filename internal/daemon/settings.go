package daemon

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"slices"
	"strconv"
)

// settings are the ports and generated passwords of a data folder. The first start chooses them.
type settings struct {
	PostgresPort     int    `json:"postgres_port"`
	PostgresPassword string `json:"postgres_password"`
	S3Port           int    `json:"s3_port"`
	S3AccessKey      string `json:"s3_access_key"`
	S3SecretKey      string `json:"s3_secret_key"`

	path string
}

func loadSettings(path string) (*settings, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		s := &settings{
			PostgresPassword: rand.Text(),
			S3AccessKey:      "attune-" + rand.Text()[:8],
			S3SecretKey:      rand.Text(),
			path:             path,
		}
		return s, s.save()
	}
	if err != nil {
		return nil, fmt.Errorf("read the daemons' settings: %w", err)
	}
	s := &settings{path: path}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("read the daemons' settings in %s: %w", path, err)
	}
	return s, nil
}

// save replaces the file atomically: a crash never leaves half a password.
func (s *settings) save() error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the daemons' settings: %w", err)
	}
	return writeFile(s.path, text)
}

// writeFile atomically writes a file that only its owner may read.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// choosePorts keeps the earlier ports unless other processes have taken them.
func (s *settings) choosePorts() error {
	before := *s
	for _, port := range []*int{&s.PostgresPort, &s.S3Port} {
		if *port != 0 && portIsFree(*port) {
			continue
		}
		free, err := findPort(s.PostgresPort, s.S3Port)
		if err != nil {
			return err
		}
		*port = free
	}
	if *s == before {
		return nil
	}
	return s.save()
}

// Ports are chosen below the kernel's range for outgoing connections. Within the range, a connection could take the
// port of a daemon that is being restarted.
const (
	firstPort = 20000
	lastPort  = 31999
)

func findPort(except ...int) (int, error) {
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(lastPort-firstPort+1))
		if err != nil {
			return 0, fmt.Errorf("choose a port: %w", err)
		}
		if port := firstPort + int(n.Int64()); !slices.Contains(except, port) && portIsFree(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port found between %d and %d", firstPort, lastPort)
}

func portIsFree(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
