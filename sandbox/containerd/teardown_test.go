package containerd

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// TestTeardownKeepsWhatAFailureNeeds: a task that cannot be ended must go on to have its record and its folder, by which
// List finds it.
func TestTeardownKeepsWhatAFailureNeeds(t *testing.T) {
	t.Parallel()
	var undo teardown
	var done []string
	broken := errors.New("busy")
	step := func(name string, err *error) {
		undo.add(func(context.Context) error {
			if err != nil && *err != nil {
				return *err
			}
			done = append(done, name)
			return nil
		})
	}
	step("folder", nil)
	step("record", nil)
	step("task", &broken)
	step("streams", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := undo.run(ctx); !errors.Is(err, broken) || !slices.Equal(done, []string{"streams"}) {
		t.Fatalf("%v, did %v", err, done)
	}
	broken = nil
	if err := undo.run(ctx); err != nil || !slices.Equal(done, []string{"streams", "task", "record", "folder"}) {
		t.Errorf("%v, did %v", err, done)
	}
}
