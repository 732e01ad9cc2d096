//go:build cgo

package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/ttrpc"
	"github.com/opencontainers/runc/libcontainer/exeseal"
	"golang.org/x/sys/unix"
)

// oomScore keeps the kernel from choosing the shim, and with it all sandboxes, before anything of less weight.
const oomScore = "-998"

// serve keeps containers until the worker is gone and the last of them is deleted.
func serve(socket, state, rootsDir string) error {
	if err := seal(state); err != nil {
		return err
	}
	// These signals are meant for the worker, or for all processes of the host. Containers are ended by their owner. A
	// handler, unlike an ignored signal, is not inherited by what runs in them.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGPIPE)
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(oomScore), 0); err != nil {
		fmt.Fprintln(os.Stderr, "attune-shim: not protected from the kernel's out-of-memory killer:", err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return errors.Join(err, listener.Close())
	}
	server, err := ttrpc.NewServer(ttrpc.WithServerHandshaker(ttrpc.UnixSocketRequireSameUser()))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	mounted := newRoots(rootsDir)
	s := newService(state, mounted)
	task.RegisterTTRPCTaskService(server, s)
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), listener) }()
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		return errors.Join(err, server.Close(), ignoreClosed(<-served))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var sweeper sync.WaitGroup
	sweeper.Go(func() { s.sweep(ctx) })
	defer sweeper.Wait()
	defer cancel()
	// The worker never writes, so the end of stdin is the end of the worker.
	_, _ = io.Copy(io.Discard, os.Stdin)
	if !s.empty() {
		_, _ = os.Stdout.WriteString("keeps\n") // a worker that ends in order reads it
	}
	s.waitEmpty()
	return errors.Join(server.Close(), ignoreClosed(<-served), mounted.close())
}

func ignoreClosed(err error) error {
	if errors.Is(err, ttrpc.ErrServerClosed) {
		return nil
	}
	return err
}

// seal runs the program again from a sealed copy in memory. What becomes a container is made of the program that runs,
// and without the copy a container could write to its file, as in CVE-2019-5736. Runc makes such a copy for each
// container.
func seal(dir string) error {
	if exeseal.IsSelfExeCloned() {
		return nil
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("copy the program: %w", err)
	}
	defer self.Close()
	info, err := self.Stat()
	if err != nil {
		return fmt.Errorf("copy the program: %w", err)
	}
	sealed, err := exeseal.CloneBinary(self, info.Size(), "attune-shim", dir)
	if err != nil {
		return fmt.Errorf("copy the program: %w", err)
	}
	defer sealed.Close()
	if !exeseal.IsCloned(sealed) {
		return nil // The kernel has no sealed files; runc's library then copies each time.
	}
	err = syscall.Exec("/proc/self/fd/"+strconv.Itoa(int(sealed.Fd())), os.Args, nil)
	return fmt.Errorf("run the copy of the program: %w", err)
}
