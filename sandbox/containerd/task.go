package containerd

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"

	"attune/internal/timerslack"
	"attune/sandbox/hostcheck"
)

// record makes the container record of the sandbox, which keeps the layers of its image, and returns what to mount as
// its root. It fails where the id is in use.
func (s *container) record(ctx context.Context, chain string, at placement) ([]mount.Mount, error) {
	id := s.spec.ID
	spec, err := typeurl.MarshalAny(ociSpec(s.spec, at))
	if err != nil {
		return nil, fmt.Errorf("encode specification: %w", err)
	}
	runtime, err := s.runtimeInfo(s.spec.Runtime)
	if err != nil {
		return nil, err
	}
	record := containers.Container{
		ID: id, Labels: map[string]string{ownerLabel: s.config.Owner}, Spec: spec,
		Runtime: runtime, SandboxID: groupID(s.config.Owner),
		Snapshotter: hostcheck.Snapshotter, SnapshotKey: viewKey(chain),
	}
	_, err = s.records.Create(ctx, record)
	if err != nil {
		return nil, fmt.Errorf("make container record: %w", err)
	}
	s.made = partRecord
	return s.view(ctx, chain, at.idBase)
}

// createTask sets up the container, all but the start of its process.
func (s *container) createTask(ctx context.Context, rootfs []mount.Mount) (err error) {
	id := s.spec.ID
	s.made = allParts // also after an error: containerd may have made a task without saying so
	if s.stdio, err = openStdio(s.dir); err != nil {
		return err
	}
	address, err := s.shim.address()
	if err != nil {
		return err
	}
	request := &tasks.CreateTaskRequest{
		ContainerID: id, Stdin: s.dir.stdin(), Stdout: s.dir.stdout(), Stderr: s.dir.stderr(),
		TaskApiAddress: address, TaskApiVersion: shimVersion,
	}
	for _, m := range rootfs {
		request.Rootfs = append(request.Rootfs, &types.Mount{
			Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options,
		})
	}
	err = bounded(ctx, func(ctx context.Context) error {
		created, err := s.tasks.Create(ctx, request)
		if err != nil {
			return err
		}
		// The shim's timers may be late, and its process inherits that. It is no reason to fail.
		if err := timerslack.Reset(created.Pid); err != nil {
			s.log.Warn("timers in a sandbox may be late", "sandbox", id, "error", err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("create container: %w", err)
	}
	group := s.config.cgroupPath(id)
	if err := s.groups.LimitSockets(group, s.spec.Resources.MemoryBytes/socketShare); err != nil {
		return err
	}
	s.oom, err = s.groups.WatchOOM(group)
	return err
}

// socketShare is the part of a sandbox's memory that the buffers of its sockets may take beside it, on cgroup version
// 1.
const socketShare = 4

// endTask kills what is left of the task and deletes it.
func (s *container) endTask(ctx context.Context) error {
	// A full pipe would hold up the end of the process.
	if s.stdio == nil {
		s.stdio, _ = openOutputs(s.dir) // fails where the run directory is not whole
	}
	if s.stdio != nil {
		s.stdio.copy(nil, nil)
		defer s.stdio.abandon()
	}
	return s.deleteTask(ctx, s.spec.ID)
}

// deleteAttempts bounds how often a deletion is tried: the shim may end during the call.
const deleteAttempts = 3

// deleteTask deletes a task, and kills it where it has not ended by itself.
func (c *Runtime) deleteTask(ctx context.Context, id string) error {
	var err error
	for range deleteAttempts {
		if _, err = c.tasks.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id}); ignoreNotFound(err) == nil {
			return nil
		}
		err = c.killTask(ctx, id)
	}
	if _, last := c.tasks.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id}); ignoreNotFound(last) != nil {
		return errors.Join(fmt.Errorf("delete container: %w", last), err)
	}
	return nil
}

// killTask kills every process of a task and waits for its end.
func (c *Runtime) killTask(ctx context.Context, id string) error {
	_, err := c.tasks.Kill(ctx, &tasks.KillRequest{ContainerID: id, Signal: uint32(syscall.SIGKILL), All: true})
	if ignoreNotFound(err) != nil {
		return fmt.Errorf("kill container: %w", err)
	}
	if _, err = c.tasks.Wait(ctx, &tasks.WaitRequest{ContainerID: id}); ignoreNotFound(err) != nil {
		return fmt.Errorf("wait for container: %w", err)
	}
	return nil
}

// ignoreNotFound makes the removal of something that is not there a success.
func ignoreNotFound(err error) error {
	if errdefs.IsNotFound(errgrpc.ToNative(err)) || errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
