package daemon

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"text/template"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"attune"
	"attune/internal/inodes"
	"attune/internal/timerslack"
)

// systemPath is the PATH of every daemon. BinDir comes before it where a daemon starts programs of ours.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// maxSocketPath is what containerd allows for the path of a socket; the kernel allows 107.
const maxSocketPath = 104

//go:embed containerd.toml.tmpl
var containerdConfigText string

var containerdConfig = template.Must(template.New("containerd.toml").Parse(containerdConfigText))

// containerd is a private containerd with the plugins that sandboxes need.
type containerd struct {
	program
	binDir  string
	address string
}

func newContainerd(config Config) *containerd {
	home := filepath.Join(config.Dir, "containerd")
	c := &containerd{binDir: config.BinDir, address: filepath.Join(home, "containerd.sock")}
	c.program = program{
		name:       "containerd",
		home:       home,
		logPath:    filepath.Join(config.Dir, "log", "containerd.log"),
		command:    c.server,
		launcher:   timerslack.Start,
		ready:      c.ping,
		stopSignal: syscall.SIGTERM,
	}
	return c
}

func (c *containerd) configPath() string { return filepath.Join(c.home, "config.toml") }

func (c *containerd) server() *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.binDir, "containerd"), "--config", c.configPath())
	// containerd finds the shim through PATH; the shim inherits PATH and finds runc.
	cmd.Env = []string{"PATH=" + c.binDir + ":" + systemPath, "HOME=" + c.home}
	return cmd
}

func (c *containerd) prepare(context.Context) error {
	sockets := struct{ Home, Address, TTRPCAddress string }{c.home, c.address, c.address + ".ttrpc"}
	if over := len(sockets.TTRPCAddress) - maxSocketPath; over > 0 {
		return attune.Errorf(attune.CodeConflict,
			"the path of the data folder %s is %d bytes too long for containerd's sockets: choose a shorter one",
			filepath.Dir(c.home), over)
	}
	// The users of sandboxes need to pass through to their root file system.
	if err := errors.Join(os.MkdirAll(c.home, 0o711), os.Chmod(c.home, 0o711)); err != nil {
		return fmt.Errorf("make containerd's folder: %w", err)
	}
	for _, part := range []string{"root", "state"} {
		bundles := filepath.Join(c.home, part, "io.containerd.runtime.v2.task", "attune")
		if err := os.MkdirAll(bundles, 0o711); err != nil {
			return fmt.Errorf("make containerd's folder: %w", err)
		}
		inodes.Spread(bundles)
	}
	var text bytes.Buffer
	if err := containerdConfig.Execute(&text, sockets); err != nil {
		return fmt.Errorf("write containerd's configuration: %w", err)
	}
	return writeFile(c.configPath(), text.Bytes())
}

// ping makes the standard health check, and restricts the socket to its owner once containerd has made it.
func (c *containerd) ping(ctx context.Context) (err error) {
	conn, err := grpc.NewClient("unix:"+c.address,
		grpc.WithNoProxy(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return err
	}
	if answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("health check answers %s", answer.GetStatus())
	}
	return os.Chmod(c.address, 0o600)
}
