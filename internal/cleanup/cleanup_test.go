package cleanup_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"attune/internal/cleanup"
)

func TestStepsAreUndoneInReverse(t *testing.T) {
	t.Parallel()
	var stack cleanup.Stack
	var undone []int
	busy := errors.New("busy")
	for i := range 3 {
		stack.AddClose(func() error {
			undone = append(undone, i)
			if i == 1 && len(undone) < 4 {
				return busy
			}
			return nil
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := stack.Run(ended, time.Minute); !errors.Is(err, busy) || fmt.Sprint(undone) != "[2 1 0]" {
		t.Fatalf("undone are %v, %v", undone, err)
	}
	for range 2 { // what failed is undone once more, and only once
		if err := stack.Run(ended, time.Minute); err != nil || fmt.Sprint(undone) != "[2 1 0 1]" {
			t.Fatalf("another run has undone %v, %v", undone, err)
		}
	}
}

func TestEachStepHasItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stack cleanup.Stack
		for range 2 {
			stack.Add(func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		err := stack.Run(ended, time.Second)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 2*time.Second {
			t.Errorf("it took %s, %v", time.Since(begin), err)
		}
	})
}
