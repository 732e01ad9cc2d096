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
	// MemoryBytes is what all sandboxes that wait may take together; 0 makes none ahead.
	MemoryBytes int64
	// Current returns the sandbox that an action would be given now; false says that there is no such action any more.
	Current func(ctx context.Context, action string) (Spec, bool, error)
	// MaxAge is how long a sandbox may wait: what its code knows from when it was loaded must not become too old.
	MaxAge time.Duration
	// KeepFor is how long after its last use an action has sandboxes that wait.
	KeepFor time.Duration
	// Interval is the time between two looks at those that wait.
	Interval time.Duration
	Log      *slog.Logger
}

// Defaults of PoolConfig.
const (
	DefaultMaxAge   = 10 * time.Minute
	DefaultKeepFor  = 30 * time.Minute
	defaultInterval = 2 * time.Second
)

// Pool makes sandboxes before there is an execution for them: the process is started, has loaded what it can, and waits.
// Each is used once. A sandbox is given away only for the very Spec that it was made for.
type Pool struct {
	PoolConfig

	// wake asks Run to look at once.
	wake chan struct{}

	mu sync.Mutex
	// open says that Run is there to look after what waits.
	open bool
	// lines are what waits, by action.
	lines map[string]*line
	// doomed are to be removed; nobody is given one of them.
	doomed []Sandbox
	stats  PoolStats
}

// PoolStats says what a Pool has done so far, and what it holds.
type PoolStats struct {
	// Hits and Misses are how often Take had a sandbox and had none.
	Hits, Misses int64
	// Refills are sandboxes made ahead, Failures those that could not be made or ended while they waited, and Drained those that
	// were removed without having been used.
	Refills, Failures, Drained int64
	// Waiting is how many wait, and MemoryBytes what they took when they were last looked at.
	Waiting, MemoryBytes int64
}

// NewPool returns a pool that is empty, and stays so until Run.
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
	return &Pool{PoolConfig: c, wake: make(chan struct{}, 1), lines: make(map[string]*line)}
}

// Take returns a sandbox for an action and its id, or nil when none waits. It notes the use either way, so that the pool
// learns how many to keep; fixed, where not nil, is that number. Nothing but the ID and Ahead of the sandbox's own Spec
// differs from spec.
//
// A nil Pool has none.
func (p *Pool) Take(action string, spec Spec, fixed *int) (Sandbox, string) {
	if p == nil {
		return nil, ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open {
		return nil, ""
	}
	defer p.look()
	l := p.lines[action]
	if l == nil || l.key != key(spec) {
		if l != nil {
			p.doom(l, len(l.ready))
		}
		l = newLine(spec)
		p.lines[action] = l
	}
	l.use(time.Now(), fixed)
	for len(l.ready) > 0 {
		w := l.ready[0]
		l.ready = l.ready[1:]
		if _, err := w.sandbox.Memory(); err != nil {
			p.fail(l, w, err)
			continue
		}
		p.stats.Hits++
		return w.sandbox, w.id
	}
	p.stats.Misses++
	return nil, ""
}

// Ready tells whether a sandbox waits that Take would return; the image of such a one is on this host.
func (p *Pool) Ready(action string, spec Spec) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lines[action]
	return l != nil && len(l.ready) > 0 && l.key == key(spec)
}

// Stats returns what the pool has done, and holds.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	for _, l := range p.lines {
		s.Waiting += int64(len(l.ready))
		s.MemoryBytes += l.memory()
	}
	return s
}

// look has Run look at once.
func (p *Pool) look() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// doom sets the first n of a line aside for removal.
func (p *Pool) doom(l *line, n int) {
	for _, w := range l.ready[:n] {
		p.doomed = append(p.doomed, w.sandbox)
	}
	l.ready = l.ready[n:]
	p.stats.Drained += int64(n)
}

// fail sets a sandbox aside that ended while it waited. The line has no other made before it is used again: whatever
// ended this one would end the next one too.
func (p *Pool) fail(l *line, w waiting, err error) {
	p.Log.Warn("a sandbox ended before its use", "sandbox", w.id, "error", err)
	p.doomed = append(p.doomed, w.sandbox)
	p.stats.Failures++
	l.paused = true
}

// key is the same for two specifications that nothing but the ID and Ahead tells apart.
func key(spec Spec) string {
	spec.ID, spec.Ahead = "", false
	text, err := json.Marshal(spec)
	if err != nil {
		return uuid.NewString() // cannot be; equal to no other
	}
	return string(text)
}
