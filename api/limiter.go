package api

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"attune"
)

// limiter bounds how many hold a place at once: of each token and in all, so that one token cannot take every place.
type limiter struct {
	// what names those who hold a place, for the refusal.
	what string
	all  *semaphore.Weighted
	each int64

	mu     sync.Mutex
	tokens map[string]*places
}

// places are those of one token. users counts who holds one or waits for it; the last one removes them.
type places struct {
	*semaphore.Weighted
	users int
}

func newLimiter(what string, all, each int64) *limiter {
	return &limiter{what: what, all: semaphore.NewWeighted(all), each: each, tokens: map[string]*places{}}
}

// acquire waits for a place until ctx ends. It waits for the token's own places first: meanwhile it takes none from
// others. release may be called more than once.
func (l *limiter) acquire(ctx context.Context, token string) (release func(), err error) {
	own := l.join(token)
	if own.Acquire(ctx, 1) != nil {
		l.leave(token, own)
		return nil, &attune.Error{
			Code: attune.CodeRejected, Message: "the token has too many " + l.what + " at once", RetryAfter: retryBusy,
		}
	}
	if l.all.Acquire(ctx, 1) != nil {
		own.Release(1)
		l.leave(token, own)
		return nil, busy(l.what)
	}
	return sync.OnceFunc(func() {
		l.all.Release(1)
		own.Release(1)
		l.leave(token, own)
	}), nil
}

func (l *limiter) join(token string) *places {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.tokens[token]
	if own == nil {
		own = &places{Weighted: semaphore.NewWeighted(l.each)}
		l.tokens[token] = own
	}
	own.users++
	return own
}

func (l *limiter) leave(token string, own *places) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(l.tokens, token)
	}
}

// retryBusy is Retry-After when too much happens at once.
const retryBusy = 5 * time.Second

// busy is the answer when all tokens together ask for too much at once.
func busy(what string) error {
	return &attune.Error{
		Code: attune.CodeUnavailable, Message: "the service has too many " + what + " at once; try again soon",
		RetryAfter: retryBusy,
	}
}
