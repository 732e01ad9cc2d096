package sandbox

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	sandboxes "github.com/containerd/containerd/v2/core/sandbox"
	"github.com/containerd/errdefs"
)

const (
	// shimSockets is short, as the path of a socket must be.
	shimSockets = "/run/attune"
	// shimReady is what it prints when it listens.
	shimReady = "ready\n"
	// shimVersion is the version of containerd's task service that the shim serves.
	shimVersion = 3
	// shimStartTime is more than it takes to start, shimEndTime to end when it has nothing to keep.
	shimStartTime, shimEndTime = 10 * time.Second, 5 * time.Second
)

// ownShim is the process, of this worker's life, that keeps its sandboxes; see package shim. It is started when the first is made,
// and again when it is found dead. It ends by itself when this process and its last sandbox are gone.
type ownShim struct {
	program string
	// root is where runc keeps the state of its containers, complaints where the shim writes what goes wrong.
	root, complaints string
	log              *slog.Logger

	mu      sync.Mutex
	running *shimProcess
}

type shimProcess struct {
	socket string
	// alive is the other end of its stdin: it never reads there, but learns that we are gone.
	alive io.Closer
	ended chan struct{}
}

// address is where it listens.
func (o *ownShim) address() (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running != nil {
		select {
		case <-o.running.ended:
			o.running = nil
		default:
		}
	}
	if o.running == nil {
		started, err := o.start()
		if err != nil {
			return "", fmt.Errorf("start %s: %w", o.program, err)
		}
		o.running = started
	}
	return "ttrpc+unix://" + o.running.socket, nil
}

func (o *ownShim) start() (*shimProcess, error) {
	if err := os.MkdirAll(shimSockets, 0o700); err != nil {
		return nil, err
	}
	p := &shimProcess{socket: filepath.Join(shimSockets, strings.ToLower(rand.Text())+".sock"), ended: make(chan struct{})}
	complaints, err := os.OpenFile(o.complaints, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer complaints.Close()
	command := exec.Command(o.program, "serve", "-socket", p.socket, "-root", o.root)
	command.Env, command.Dir, command.Stderr = []string{}, "/", complaints
	// What a terminal sends to us is not for it.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if p.alive, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	said, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	late := time.AfterFunc(shimStartTime, func() { _ = command.Process.Kill() })
	line, _ := bufio.NewReader(said).ReadString('\n')
	late.Stop()
	if line != shimReady {
		_ = command.Process.Kill()
		return nil, errors.Join(fmt.Errorf("it did not come up; %s may say why", o.complaints), command.Wait())
	}
	go func() {
		err := command.Wait()
		_ = os.Remove(p.socket)
		close(p.ended)
		if err != nil {
			o.log.Error("the shim has died, and its sandboxes with it", "error", err, "log", o.complaints)
		}
	}()
	return p, nil
}

// close lets it end. With sandboxes left it lives on for them.
func (o *ownShim) close(left bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running == nil {
		return
	}
	_ = o.running.alive.Close()
	if left {
		return
	}
	select {
	case <-o.running.ended:
	case <-time.After(shimEndTime):
		o.log.Warn("the shim has sandboxes still")
	}
}

// groupID names what containerd takes for one sandbox of many containers: all of an owner's. That is how it lets them share a shim.
func groupID(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return "attune-" + hex.EncodeToString(sum[:12])
}

// makeGroup has containerd know the group; an earlier life may have made it.
func (c *Containerd) makeGroup(ctx context.Context) error {
	_, err := c.client.SandboxStore().Create(ctx, sandboxes.Sandbox{ID: groupID(c.config.Owner), Labels: map[string]string{ownerLabel: c.config.Owner}})
	if err != nil && !errdefs.IsAlreadyExists(err) {
		return fmt.Errorf("make containerd's record of the shim: %w", err)
	}
	return nil
}
