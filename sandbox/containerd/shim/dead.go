//go:build cgo

package shim

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// killTime is how long a killed container may take to end, and killPause the time between two looks.
const killTime, killPause = 10 * time.Second, 10 * time.Millisecond

// deleteDead removes a container whose shim is gone. For a container that was deleted in order, package deleted has
// already ended the program.
func deleteDead(args []string) error {
	flags := flag.NewFlagSet("delete", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	id, bundle := flags.String("id", "", ""), flags.String("bundle", "", "")
	for _, other := range []string{"namespace", "address", "publish-binary"} {
		flags.String(other, "", "")
	}
	flags.Bool("debug", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	runtime, err := readNote(*bundle)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was never made
	}
	if err != nil {
		return err
	}
	if err := runtime.destroyDead(*id, *bundle); err != nil {
		return fmt.Errorf("remove container %s: %w", *id, err)
	}
	killed := &task.DeleteResponse{ExitStatus: 128 + uint32(unix.SIGKILL), ExitedAt: timestamppb.Now()}
	answer, err := proto.Marshal(killed)
	if err == nil {
		_, err = os.Stdout.Write(answer)
	}
	return errors.Join(err, mount.UnmountAll(filepath.Join(*bundle, "rootfs"), 0))
}

// destroyDead kills what is left of a container and removes its group and its state.
func (r runtimeRef) destroyDead(id, bundle string) error {
	if r.command != "" {
		return errors.Join(r.engine(id, bundle).destroy(), unmountShared(bundle))
	}
	c, err := libcontainer.Load(r.root, id)
	if errors.Is(err, libcontainer.ErrNotExist) {
		return os.RemoveAll(filepath.Join(r.root, id)) // its shim died before there was a process
	}
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(killTime); ; time.Sleep(killPause) {
		if err := c.Signal(unix.SIGKILL); err != nil && !hasEnded(err) {
			return err
		}
		status, err := c.Status()
		if err != nil {
			return err
		}
		if status == libcontainer.Stopped {
			return c.Destroy()
		}
		if time.Now().After(deadline) {
			return errors.New("its process did not end after SIGKILL")
		}
	}
}
