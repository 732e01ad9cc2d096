package scheduler

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"attune"
)

// wildHost is a host whose attempts take some milliseconds and end in any way that an action may.
func wildHost(random *rand.Rand, actions ...attune.Action) *host {
	var mu sync.Mutex
	draw := func() (fate int, wait time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(10), time.Duration(random.IntN(20)) * time.Millisecond
	}
	return newHost(func(ctx context.Context, _ Claim) (Outcome, error) {
		fate, wait := draw()
		if fate == 4 {
			wait += startDelay // its start is recorded
		}
		if !pause(ctx, wait) {
			return stopped(ctx), nil
		}
		switch fate {
		case 0, 1:
			return exited(1), nil
		case 2:
			return Outcome{Status: attune.StatusTimeout, Reason: attune.ReasonDeadline}, nil
		case 3:
			return Outcome{Status: attune.StatusFailed, Reason: attune.ReasonSandboxFailed}, nil
		default:
			return exited(0), nil
		}
	}, actions...)
}
