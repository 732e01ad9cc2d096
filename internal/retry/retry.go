// Package retry repeats what may succeed later. It holds the choices that all of Attune's retries share, on top of a
// back-off library: pauses double, are randomized, and end with a context rather than after some time.
package retry

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Pauses double from first to longest. Each is randomized by up to half of it, so that processes that failed together
// do not try again together.
func Pauses(first, longest time.Duration) *backoff.ExponentialBackOff {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = first, longest, 2
	return pauses
}

// Do calls try until it succeeds, its error is Permanent, or ctx ends. It returns the last error of try. Before each
// pause it calls notify, unless that is nil.
func Do(ctx context.Context, pauses backoff.BackOff, try func() error, notify backoff.Notify) error {
	var last error
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		last = try()
		return struct{}{}, last
	}, backoff.WithBackOff(pauses), backoff.WithNotify(notify), backoff.WithMaxElapsedTime(0))
	if ctx.Err() != nil {
		return last
	}
	return err
}

// Permanent marks an error that another try cannot mend.
func Permanent(err error) error { return backoff.Permanent(err) }
