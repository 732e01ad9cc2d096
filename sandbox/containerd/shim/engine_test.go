//go:build cgo

package shim

import (
	"testing"

	"github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/protobuf/types/known/anypb"
)

func TestEngineIsThatOfTheOptions(t *testing.T) {
	t.Parallel()
	told, err := typeurl.MarshalAny(&options.Options{BinaryName: "/bin/runsc"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options *anypb.Any
		want    runtimeRef
	}{
		"none":          {nil, runtimeRef{root: "/state/runc"}},
		"names command": {typeurl.MarshalProto(told), runtimeRef{command: "/bin/runsc"}},
	} {
		got, err := runtimeOf("/state/runc", &task.CreateTaskRequest{Options: c.options})
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		_, isRunc := got.engine("some", "/bundle").(*runc)
		if isRunc != (c.options == nil) {
			t.Errorf("%s: runc is %v", name, isRunc)
		}
		// Who cleans up after a dead shim finds the same.
		bundle := t.TempDir()
		if err := got.leaveNote(bundle); err != nil {
			t.Error(err)
		}
		if noted, err := readNote(bundle); err != nil || noted != got {
			t.Errorf("%s: the note says %+v, %v", name, noted, err)
		}
	}
	unknown := &anypb.Any{TypeUrl: "other", Value: []byte("x")}
	if got, err := runtimeOf("", &task.CreateTaskRequest{Options: unknown}); err == nil {
		t.Errorf("unknown options mean %+v", got)
	}
}
