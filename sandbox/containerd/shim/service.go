//go:build cgo

package shim

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/containerd/containerd/api/runtime/task/v3"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// service is what containerd calls. It publishes no events: the worker asks, and other clients of containerd have no
// part in sandboxes.
type service struct {
	// root is where runc keeps the state of containers; runc's own command finds them there.
	root  string
	roots *roots

	mu         sync.Mutex
	containers map[string]*container
	// emptied is signaled when there is no container left.
	emptied *sync.Cond
}

var _ task.TTRPCTaskService = (*service)(nil)

func newService(root string, roots *roots) *service {
	s := &service{root: root, roots: roots, containers: make(map[string]*container)}
	s.emptied = sync.NewCond(&s.mu)
	return s
}

func (s *service) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.containers) == 0
}

// waitEmpty returns when no container is left.
func (s *service) waitEmpty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.containers) > 0 {
		s.emptied.Wait()
	}
}

func (s *service) add(c *container) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.containers[c.id] != nil {
		return fmt.Errorf("container %s: %w", c.id, errdefs.ErrAlreadyExists)
	}
	s.containers[c.id] = c
	return nil
}

func (s *service) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.containers, id)
	if len(s.containers) == 0 {
		s.emptied.Broadcast()
	}
}

// get finds a container that has been made.
func (s *service) get(id string) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[id]; c != nil && c.made.Load() {
		return c, nil
	}
	return nil, errgrpc.ToGRPC(fmt.Errorf("container %s: %w", id, errdefs.ErrNotFound))
}

// Create makes a container, all but the start of its process.
func (s *service) Create(_ context.Context, r *task.CreateTaskRequest) (*task.CreateTaskResponse, error) {
	runtime, err := runtimeOf(s.root, r)
	if err != nil {
		return nil, errgrpc.ToGRPC(err)
	}
	c := newContainer(runtime, s.roots, r)
	if err := s.add(c); err != nil {
		return nil, errgrpc.ToGRPC(err)
	}
	if err := c.create(r.Rootfs); err != nil {
		if c.failed.Store(len(c.undo) > 0); !c.failed.Load() {
			s.remove(c.id)
		}
		return nil, errgrpc.ToGRPC(err)
	}
	return &task.CreateTaskResponse{Pid: c.pid}, nil
}

// Start starts the process.
func (s *service) Start(_ context.Context, r *task.StartRequest) (*task.StartResponse, error) {
	c, err := s.get(r.ID)
	if err != nil {
		return nil, err
	}
	if r.ExecID != "" {
		return nil, unsupported("exec")
	}
	if err := c.start(); err != nil {
		return nil, errgrpc.ToGRPC(err)
	}
	return &task.StartResponse{Pid: c.pid}, nil
}

// Wait returns when the process has ended.
func (s *service) Wait(ctx context.Context, r *task.WaitRequest) (*task.WaitResponse, error) {
	c, err := s.get(r.ID)
	if err != nil {
		return nil, err
	}
	select {
	case <-c.exited:
		return &task.WaitResponse{ExitStatus: c.status, ExitedAt: timestamppb.New(c.exitedAt)}, nil
	case <-ctx.Done():
		return nil, errgrpc.ToGRPC(ctx.Err())
	}
}

// Kill signals the first process. SIGKILL reaches all, for the container has a process namespace of its own.
func (s *service) Kill(_ context.Context, r *task.KillRequest) (*emptypb.Empty, error) {
	c, err := s.get(r.ID)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, errgrpc.ToGRPC(c.kill(unix.Signal(r.Signal)))
}

// CloseIO lets the process see the end of its stdin.
func (s *service) CloseIO(_ context.Context, r *task.CloseIORequest) (*emptypb.Empty, error) {
	c, err := s.get(r.ID)
	if err != nil {
		return nil, err
	}
	if r.Stdin {
		c.streams.endStdin()
	}
	return &emptypb.Empty{}, nil
}

// Delete removes a container whose process has ended.
func (s *service) Delete(_ context.Context, r *task.DeleteRequest) (*task.DeleteResponse, error) {
	c, err := s.get(r.ID)
	if err != nil {
		return nil, err
	}
	if r.ExecID != "" {
		return nil, unsupported("exec")
	}
	if err := c.delete(); err != nil {
		return nil, errgrpc.ToGRPC(err)
	}
	s.remove(c.id)
	return &task.DeleteResponse{Pid: c.pid, ExitStatus: c.status, ExitedAt: timestamppb.New(c.exitedAt)}, nil
}

// State says how far a container is.
func (s *service) State(_ context.Context, r *task.StateRequest) (*task.StateResponse, error) {
	c, err := s.get(r.ID)
	if err != nil {
		return nil, err
	}
	state := &task.StateResponse{
		ID: c.id, Bundle: c.bundle, Pid: c.pid, Status: tasktypes.Status_CREATED,
		Stdin: c.streams.stdinPath, Stdout: c.streams.stdoutPath, Stderr: c.streams.stderrPath,
	}
	if c.started.Load() {
		state.Status = tasktypes.Status_RUNNING
	}
	if c.hasExited() {
		state.Status, state.ExitStatus = tasktypes.Status_STOPPED, c.status
		state.ExitedAt = timestamppb.New(c.exitedAt)
	}
	return state, nil
}

// Pids lists the processes of a container.
func (s *service) Pids(_ context.Context, r *task.PidsRequest) (*task.PidsResponse, error) {
	c, err := s.get(r.ID)
	if err != nil {
		return nil, err
	}
	pids, err := c.engine.processes()
	if err != nil {
		return nil, errgrpc.ToGRPC(err)
	}
	response := &task.PidsResponse{}
	for _, pid := range pids {
		response.Processes = append(response.Processes, &tasktypes.ProcessInfo{Pid: uint32(pid)})
	}
	return response, nil
}

// Connect names the processes behind a container.
func (s *service) Connect(_ context.Context, r *task.ConnectRequest) (*task.ConnectResponse, error) {
	c, err := s.get(r.ID)
	if err != nil {
		return nil, err
	}
	return &task.ConnectResponse{ShimPid: uint32(os.Getpid()), TaskPid: c.pid}, nil
}

// Shutdown is what containerd asks for after each container; the shim stays for the others.
func (s *service) Shutdown(context.Context, *task.ShutdownRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func unsupported(what string) error {
	return errgrpc.ToGRPC(fmt.Errorf("%s of a sandbox: %w", what, errdefs.ErrNotImplemented))
}

// What follows is not for sandboxes, which are made, run once, and removed.

// Exec is not supported.
func (s *service) Exec(context.Context, *task.ExecProcessRequest) (*emptypb.Empty, error) {
	return nil, unsupported("exec")
}

// Pause is not supported.
func (s *service) Pause(context.Context, *task.PauseRequest) (*emptypb.Empty, error) {
	return nil, unsupported("pause")
}

// Resume is not supported.
func (s *service) Resume(context.Context, *task.ResumeRequest) (*emptypb.Empty, error) {
	return nil, unsupported("resume")
}

// Checkpoint is not supported.
func (s *service) Checkpoint(context.Context, *task.CheckpointTaskRequest) (*emptypb.Empty, error) {
	return nil, unsupported("checkpoint")
}

// ResizePty is not supported.
func (s *service) ResizePty(context.Context, *task.ResizePtyRequest) (*emptypb.Empty, error) {
	return nil, unsupported("terminal")
}

// Update is not supported.
func (s *service) Update(context.Context, *task.UpdateTaskRequest) (*emptypb.Empty, error) {
	return nil, unsupported("update")
}

// Stats is not supported: the worker reads the control group itself.
func (s *service) Stats(context.Context, *task.StatsRequest) (*task.StatsResponse, error) {
	return nil, unsupported("stats")
}
