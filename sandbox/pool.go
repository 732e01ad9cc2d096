package sandbox

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
)

// PoolConfig is what a Pool needs. Zero durations take the defaults.
type PoolConfig struct {
	Runtime Runtime
	// MemoryBytes bounds what all ready sandboxes take together. With 0 the pool makes none.
	MemoryBytes int64
	// Current returns the sandbox that an action needs now, and false where the action is not installed any more.
	Current func(ctx context.Context, action string) (Spec, bool, error)
	// MaxAge is how long a sandbox may wait for its use. Code that was loaded must not work with facts that are too old.
	MaxAge time.Duration
	// KeepFor is how long after its last use an action keeps ready sandboxes.
	KeepFor time.Duration
	// Interval is the time between two checks of the ready sandboxes.
	Interval time.Duration
	Log      *slog.Logger
}

// Defaults of PoolConfig.
const (
	DefaultMaxAge   = 10 * time.Minute
	DefaultKeepFor  = 30 * time.Minute
	defaultInterval = 2 * time.Second
)

// Pool makes sandboxes before an execution needs them: the process is started, has loaded what it can, and waits for
// its document. Each is used once, and only for the very Spec that it was made for.
type Pool struct {
	PoolConfig

	// wake makes Run check at once.
	wake chan struct{}

	mu sync.Mutex
	// open is true while Run looks after the pool.
	open bool
	// stocks are the ready sandboxes of each action.
	stocks map[string]*stock
	// discarded are about to be removed; no execution gets one of them.
	discarded []Sandbox
	stats     PoolStats
}

// PoolStats says what a Pool has done so far, and what it holds.
type PoolStats struct {
	// Hits counts the calls of Take that returned a sandbox, Misses those that returned none.
	Hits, Misses int64
	// Refills counts the sandboxes made ahead, Failures those that could not be made, ended before their use or exceeded
	// their processor time, and Drained those that were removed unused.
	Refills, Failures, Drained int64
	// Waiting is the number of ready sandboxes, MemoryBytes what they took at the last check.
	Waiting, MemoryBytes int64
}

// NewPool returns an empty pool. It stays empty until Run.
func NewPool(c PoolConfig) *Pool {
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if c.KeepFor == 0 {
		c.KeepFor = DefaultKeepFor
	}
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	return &Pool{PoolConfig: c, wake: make(chan struct{}, 1), stocks: make(map[string]*stock)}
}

// Take returns a ready sandbox for an action and its id, or nil when there is none. The sandbox's own Spec differs from
// spec in nothing but ID and Ahead.
//
// The pool notes the use either way, and so learns how many sandboxes to keep. Where fixed is not nil, it is that
// number.
//
// A nil Pool has no sandboxes.
func (p *Pool) Take(action string, spec Spec, fixed *int) (Sandbox, string) {
	if p == nil {
		return nil, ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open {
		return nil, ""
	}
	defer p.wakeUp()
	of := p.stocks[action]
	if of == nil || of.key != key(spec) {
		if of != nil {
			p.discard(of, len(of.ready))
		}
		of = newStock(spec)
		p.stocks[action] = of
	}
	of.use(time.Now(), fixed)
	for len(of.ready) > 0 {
		oldest := of.ready[0]
		of.ready = of.ready[1:]
		if _, err := oldest.sandbox.Waiting(); err != nil {
			p.fail(of, oldest, err)
			continue
		}
		p.stats.Hits++
		return oldest.sandbox, oldest.id
	}
	p.stats.Misses++
	return nil, ""
}

// Ready reports whether Take would return a sandbox. The image of a ready sandbox is on this host.
func (p *Pool) Ready(action string, spec Spec) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.stocks[action]
	return of != nil && len(of.ready) > 0 && of.key == key(spec)
}

// Stats returns what the pool has done, and what it holds.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	stats := p.stats
	for _, of := range p.stocks {
		stats.Waiting += int64(len(of.ready))
		stats.MemoryBytes += of.memory()
	}
	return stats
}

// wakeUp makes Run check at once.
func (p *Pool) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// discard takes the first n sandboxes out of a stock, for removal.
func (p *Pool) discard(of *stock, n int) {
	for _, r := range of.ready[:n] {
		p.discarded = append(p.discarded, r.sandbox)
	}
	of.ready = of.ready[n:]
	p.stats.Drained += int64(n)
}

// fail discards a sandbox that ended before its use, or exceeded its processor time. The stock is not refilled before
// its next use: what happened to this sandbox would happen to the next one too.
func (p *Pool) fail(of *stock, lost readySandbox, err error) {
	p.Log.Warn("a sandbox was lost before its use", "sandbox", lost.id, "error", err)
	p.discarded = append(p.discarded, lost.sandbox)
	p.stats.Failures++
	of.paused = true
}

// key is equal for two specifications that differ in nothing but ID and Ahead.
func key(spec Spec) string {
	spec.ID, spec.Ahead = "", false
	text, err := json.Marshal(spec)
	if err != nil {
		return uuid.NewString() // never happens; equal to no other key
	}
	return string(text)
}
