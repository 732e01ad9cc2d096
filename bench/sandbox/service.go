package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// service is an `attune up` with daemons of its own, in a temporary folder that is gone after close.
type service struct {
	binary, dir string
	flags       []string
	process     *exec.Cmd
	variables   map[string]string
	http        *http.Client
}

func newService(binary string) (*service, error) {
	// Images are too large for a /tmp in memory, and PostgreSQL has a user of its own.
	dir, err := os.MkdirTemp("/var/tmp", "attune-bench-")
	if err != nil {
		return nil, err
	}
	// As many connections stay open as there are clients at most.
	transport := &http.Transport{MaxIdleConnsPerHost: burstSize}
	return &service{binary: binary, dir: dir, http: &http.Client{Transport: transport}}, os.Chmod(dir, 0o755)
}

// serve starts the program, and waits until it serves. It reports whether it did; one that serves with the same flags
// goes on.
func (s *service) serve(ctx context.Context, flags []string) (started bool, err error) {
	if s.process != nil && slices.Equal(s.flags, flags) {
		return false, nil
	}
	if err := s.stop(); err != nil {
		return false, err
	}
	fmt.Fprintln(os.Stderr, "starting attune up", strings.Join(flags, " "), "…")
	return true, s.start(ctx, flags)
}

func (s *service) start(ctx context.Context, flags []string) error {
	process := exec.CommandContext(context.WithoutCancel(ctx), s.binary,
		append([]string{"up", "--data-dir", s.dir, "--listen", "127.0.0.1:0"}, flags...)...)
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us; stop ends it in order.
	log, err := os.Create(filepath.Join(s.dir, "up.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	process.Stderr = log
	stdout, err := process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	s.process, s.flags = process, flags
	if line, err := bufio.NewReader(stdout).ReadString('\n'); !strings.HasPrefix(line, "ready ") {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("attune up was not ready: %q, %w: %s", line, err, text)
	}
	return s.readConnections()
}

func (s *service) readConnections() error {
	text, err := os.ReadFile(filepath.Join(s.dir, "connections.env"))
	if err != nil {
		return err
	}
	s.variables = make(map[string]string)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		s.variables[name] = strings.Trim(value, "'")
	}
	return nil
}

func (s *service) containerd() string { return s.variables["ATTUNE_CONTAINERD_ADDRESS"] }

// stop ends the program in order, where it runs.
func (s *service) stop() error {
	if s.process == nil {
		return nil
	}
	err := errors.Join(s.process.Process.Signal(syscall.SIGTERM), s.process.Wait())
	s.process = nil
	return err
}

// close stops the service and removes its folder.
func (s *service) close() error {
	return errors.Join(s.stop(), os.RemoveAll(s.dir))
}

// client runs a command of the service's own client.
func (s *service) client(ctx context.Context, arguments ...string) error {
	client := exec.CommandContext(ctx, s.binary, arguments...)
	client.Env = append(client.Environ(),
		"ATTUNE_URL="+s.variables["ATTUNE_URL"], "ATTUNE_TOKEN="+s.variables["ATTUNE_TOKEN"])
	if said, err := client.CombinedOutput(); err != nil {
		return fmt.Errorf("attune %s: %w: %s", strings.Join(arguments, " "), err, said)
	}
	return nil
}
