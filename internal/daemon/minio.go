package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"attune/internal/inodes"
	"attune/internal/timerslack"
)

// minio is a private object store on 127.0.0.1.
type minio struct {
	program
	saved  *settings
	binDir string
}

func newMinIO(config Config, saved *settings) *minio {
	m := &minio{saved: saved, binDir: config.BinDir}
	m.program = program{
		name:       "minio",
		home:       filepath.Join(config.Dir, "minio"),
		logPath:    filepath.Join(config.Dir, "log", "minio.log"),
		command:    m.server,
		launcher:   timerslack.Start,
		ready:      m.ping,
		stopSignal: syscall.SIGTERM,
	}
	return m
}

func (m *minio) host() string     { return net.JoinHostPort("127.0.0.1", strconv.Itoa(m.saved.S3Port)) }
func (m *minio) endpoint() string { return "http://" + m.host() }
func (m *minio) envFile() string  { return filepath.Join(m.home, "env") }

func (m *minio) server() *exec.Cmd {
	cmd := exec.Command(filepath.Join(m.binDir, "minio"), "server", "--quiet", "--address", m.host(),
		"--certs-dir", filepath.Join(m.home, "certs"), filepath.Join(m.home, "data"))
	cmd.Env = []string{"PATH=" + systemPath, "HOME=" + m.home, "MINIO_CONFIG_ENV_FILE=" + m.envFile()}
	return cmd
}

// prepare makes the folders and writes the keys to a file, since other processes could read an environment.
func (m *minio) prepare(context.Context) error {
	for _, dir := range []string{m.home, filepath.Join(m.home, "certs"), filepath.Join(m.home, "data")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the object store's folder: %w", err)
		}
	}
	content := fmt.Sprintf("MINIO_ROOT_USER=%s\nMINIO_ROOT_PASSWORD=%s\nMINIO_BROWSER=off\nMINIO_UPDATE=off\n",
		m.saved.S3AccessKey, m.saved.S3SecretKey)
	return writeFile(m.envFile(), []byte(content))
}

func (m *minio) ping(ctx context.Context) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.endpoint()+"/minio/health/live", nil)
	if err != nil {
		return err
	}
	// A connection of its own, without a proxy, that is closed afterwards.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<10)); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("health check answers %s", response.Status)
	}
	// MinIO makes a folder for each new object here.
	inodes.Spread(filepath.Join(m.home, "data", ".minio.sys", "tmp"))
	return nil
}
