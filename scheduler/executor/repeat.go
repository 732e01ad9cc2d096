package executor

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// firstPause is the pause after the first try that failed.
const firstPause = 100 * time.Millisecond

// repeat calls do until it succeeds, returns a backoff.Permanent error, or ctx ends. The pauses double up to longest.
func repeat(ctx context.Context, longest time.Duration, do func() error) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.Multiplier, pauses.MaxInterval = firstPause, 2, longest
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, do() },
		backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0))
	return err
}
