package containerd

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/core/containers"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"attune/sandbox"
)

// daemon stands for containerd with one container, the task of which may refuse to end.
type daemon struct {
	stuck error
	done  []string
}

type daemonTasks struct {
	tasks.TasksClient
	*daemon
}

func (daemonTasks) Wait(context.Context, *tasks.WaitRequest, ...grpc.CallOption) (*tasks.WaitResponse, error) {
	return &tasks.WaitResponse{}, nil
}

func (daemonTasks) Kill(context.Context, *tasks.KillRequest, ...grpc.CallOption) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (d daemonTasks) Delete(
	context.Context, *tasks.DeleteTaskRequest, ...grpc.CallOption,
) (*tasks.DeleteResponse, error) {
	if d.stuck != nil {
		return nil, d.stuck
	}
	d.done = append(d.done, "task")
	return &tasks.DeleteResponse{}, nil
}

type daemonRecords struct {
	containers.Store
	*daemon
}

func (d daemonRecords) Delete(context.Context, string) error {
	d.done = append(d.done, "record")
	return nil
}

// ofDaemon is a sandbox with a run directory, of which everything up to a part was made.
func ofDaemon(t *testing.T, d *daemon, made part) *container {
	t.Helper()
	c := &Runtime{config: stateFolder(t), records: daemonRecords{daemon: d}, tasks: daemonTasks{daemon: d}}
	s := &container{Runtime: c, spec: sandbox.Spec{ID: "some"}, dir: c.config.runDir("some"), made: made}
	if err := s.dir.create(os.Getuid()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.dir.remove() })
	return s
}

// TestTeardownKeepsWhatAFailureNeeds: a task that cannot be ended must go on to have its record and its run directory,
// by which List finds it.
func TestTeardownKeepsWhatAFailureNeeds(t *testing.T) {
	t.Parallel()
	d := &daemon{stuck: errors.New("busy")}
	s := ofDaemon(t, d, allParts)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.tearDown(ctx, noPart); !errors.Is(err, d.stuck) || len(d.done) > 0 {
		t.Fatalf("%v, did %v", err, d.done)
	}
	if _, err := os.Stat(string(s.dir)); err != nil {
		t.Error(err)
	}
	d.stuck = nil
	if err := s.tearDown(ctx, partDir); err != nil || !slices.Equal(d.done, []string{"task", "record"}) {
		t.Errorf("%v, did %v", err, d.done)
	}
	if _, err := os.Stat(string(s.dir)); err != nil {
		t.Errorf("what was to stay: %v", err)
	}
	if err := s.tearDown(ctx, noPart); err != nil || len(d.done) != 2 {
		t.Errorf("%v, did %v", err, d.done)
	}
	if _, err := os.Stat(string(s.dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the run directory is left: %v", err)
	}
}

// TestTeardownRemovesOnlyWhatWasMade: an id that is in use belongs to another sandbox, whose parts must stay.
func TestTeardownRemovesOnlyWhatWasMade(t *testing.T) {
	t.Parallel()
	d := &daemon{}
	if err := ofDaemon(t, d, partGroup).tearDown(t.Context(), noPart); err != nil || len(d.done) > 0 {
		t.Errorf("%v, did %v", err, d.done)
	}
}
