package containerd

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	sandboxes "github.com/containerd/containerd/v2/core/sandbox"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"attune/internal/logfile"
	"attune/internal/timerslack"
)

const (
	// shimSockets is short, as the path of a socket must be.
	shimSockets = "/run/attune"
	// shimReady is what it prints when it listens, shimKeeps when the worker is gone and a sandbox is not.
	shimReady, shimKeeps = "ready\n", "keeps\n"
	// shimVersion is the version of containerd's task service that the shim serves.
	shimVersion = 3
	// shimStartTime is more than it takes to start, shimEndTime to end when it has nothing to keep.
	shimStartTime, shimEndTime = 10 * time.Second, 5 * time.Second
)

// shim is the process that keeps the sandboxes of this process; see package shim. It is started for the first
// sandbox, and again when it is found dead. It ends by itself when this process and its last sandbox are gone.
type shim struct {
	program string
	// state is where runc keeps the state of its containers. roots has a folder for each shim, to mount their file systems
	// in. complaints is where it writes errors.
	state, roots, complaints string
	log                      *slog.Logger

	mu      sync.Mutex
	running *shimProcess
	// watchers wait for the ends of shims and clean up after them.
	watchers sync.WaitGroup
}

type shimProcess struct {
	socket string
	// alive is the other end of its stdin. Nothing is written there; its end says that this process is gone.
	alive io.Closer
	// kept is closed when it says that it still has sandboxes, ended when it is gone.
	kept, ended chan struct{}
}

// address is where it listens.
func (s *shim) address() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil && !s.running.listens() {
		s.running = nil
	}
	if s.running == nil {
		started, err := s.start()
		if err != nil {
			return "", fmt.Errorf("start %s: %w", s.program, err)
		}
		s.running = started
	}
	return "ttrpc+unix://" + s.running.socket, nil
}

// listens reports whether the shim takes calls. When it has just died, that is known before its end is.
func (p *shimProcess) listens() bool {
	select {
	case <-p.ended:
		return false
	default:
	}
	conn, err := net.Dial("unix", p.socket)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func (s *shim) start() (*shimProcess, error) {
	if err := os.MkdirAll(shimSockets, 0o700); err != nil {
		return nil, err
	}
	name := strings.ToLower(rand.Text())
	p := &shimProcess{socket: shimSocket(name), kept: make(chan struct{}), ended: make(chan struct{})}
	roots := filepath.Join(s.roots, name)
	if err := os.MkdirAll(roots, 0o711); err != nil {
		return nil, err
	}
	// The errors of a dead shim must survive the start of the next.
	complaints, err := logfile.Open(s.complaints)
	if err != nil {
		return nil, err
	}
	defer complaints.Close()
	command := exec.Command(s.program, "serve", "-socket", p.socket, "-root", s.state, "-roots", roots)
	command.Env, command.Dir, command.Stderr = []string{}, "/", complaints
	// Signals from this process's terminal do not reach it.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if p.alive, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	said, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := timerslack.Start(command); err != nil {
		return nil, err
	}
	late := time.AfterFunc(shimStartTime, func() { _ = command.Process.Kill() })
	words := bufio.NewReader(said)
	line, _ := words.ReadString('\n')
	late.Stop()
	if line != shimReady {
		_ = command.Process.Kill()
		return nil, errors.Join(fmt.Errorf("it did not come up; %s may say why", s.complaints), command.Wait())
	}
	s.watchers.Go(func() {
		if line, _ := words.ReadString('\n'); line == shimKeeps {
			close(p.kept)
		}
		err := command.Wait()
		_ = os.Remove(p.socket)
		close(p.ended)
		if leftErr := unmountRoots(roots); leftErr != nil {
			s.log.Error("the shim has left something mounted", "error", leftErr)
		}
		if err != nil {
			s.log.Error("the shim has died, and its sandboxes with it", "error", err, "log", s.complaints)
		}
	})
	return p, nil
}

// close lets the shim end and waits for it. With sandboxes left, the shim lives on for them.
func (s *shim) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return
	}
	_ = s.running.alive.Close()
	select {
	case <-s.running.ended:
		s.watchers.Wait()
	case <-s.running.kept:
	case <-time.After(shimEndTime):
		s.log.Warn("the shim does not end", "log", s.complaints)
	}
}

func shimSocket(name string) string { return filepath.Join(shimSockets, name+".sock") }

// clean unmounts what dead shims of earlier processes left.
func (s *shim) clean() error {
	folders, err := os.ReadDir(s.roots)
	if err != nil {
		return fmt.Errorf("look for what shims left: %w", err)
	}
	var errs []error
	for _, folder := range folders {
		conn, err := net.Dial("unix", shimSocket(folder.Name()))
		if err == nil {
			errs = append(errs, conn.Close()) // it still has sandboxes, or cleans up itself
			continue
		}
		_ = os.Remove(shimSocket(folder.Name()))
		errs = append(errs, unmountRoots(filepath.Join(s.roots, folder.Name())))
	}
	return errors.Join(errs...)
}

// unmountRoots removes the folder with the roots of a shim. Others may do the same at the same time.
func unmountRoots(dir string) error {
	roots, err := os.ReadDir(dir)
	errs := []error{ignoreNotExist(err)}
	for _, root := range roots {
		path := filepath.Join(dir, root.Name())
		errs = append(errs, ignoreNotExist(mount.UnmountAll(path, unix.MNT_DETACH)), ignoreNotExist(os.Remove(path)))
	}
	if err := errors.Join(append(errs, ignoreNotExist(os.Remove(dir)))...); err != nil {
		return fmt.Errorf("unmount what a shim left: %w", err)
	}
	return nil
}

// ignoreNotExist makes the removal of a file that is not there a success.
func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// groupID names what containerd takes for one sandbox with many containers: all of an owner's. They share a shim that
// way.
func groupID(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return "attune-" + hex.EncodeToString(sum[:12])
}

// makeGroup makes containerd's record of the group, unless an earlier process has.
func (c *Runtime) makeGroup(ctx context.Context) error {
	_, err := c.client.SandboxStore().Create(ctx, sandboxes.Sandbox{
		ID: groupID(c.config.Owner), Labels: map[string]string{ownerLabel: c.config.Owner},
	})
	if err != nil && !errdefs.IsAlreadyExists(err) {
		return fmt.Errorf("make containerd's record of the shim: %w", err)
	}
	return nil
}
