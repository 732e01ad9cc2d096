package sandbox

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// currentInterval is the time between two questions whether an action still needs the same sandbox.
const currentInterval = 5 * time.Second

// restTime is longer than most runs of a sandbox that was ready take.
const restTime = 40 * time.Millisecond

// Run fills the pool and drains it until ctx ends. Then it removes all that wait, and returns. Sandboxes are made one at a
// time, so that executions are not disturbed.
func (p *Pool) Run(ctx context.Context) {
	if p.MemoryBytes <= 0 {
		return
	}
	p.setOpen(true)
	defer p.close(context.WithoutCancel(ctx))
	tick := time.NewTicker(p.Interval)
	defer tick.Stop()
	var asked time.Time
	for ctx.Err() == nil {
		if time.Since(asked) > min(currentInterval, p.Interval) {
			asked = time.Now()
			p.drainOutdated(ctx)
		}
		p.drain(time.Now())
		p.remove(ctx)
		if p.refill(ctx) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-p.wake:
			// Whoever has just been given one uses it now.
			select {
			case <-ctx.Done():
			case <-time.After(restTime):
			}
		case <-tick.C:
		}
	}
}

func (p *Pool) setOpen(open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = open
}

// close removes everything.
func (p *Pool) close(ctx context.Context) {
	p.mu.Lock()
	p.open = false
	for action, l := range p.lines {
		p.doom(l, len(l.ready))
		delete(p.lines, action)
	}
	p.mu.Unlock()
	p.remove(ctx)
}

// remove removes what was set aside. What cannot be removed is found by Runtime.List.
func (p *Pool) remove(ctx context.Context) {
	p.mu.Lock()
	doomed := p.doomed
	p.doomed = nil
	p.mu.Unlock()
	for _, s := range doomed {
		if err := s.Remove(ctx); err != nil {
			p.Log.Error("sandbox that nobody used was not removed", "error", err)
		}
	}
}

// drainOutdated empties the lines of actions that are gone, or that need another sandbox by now. What cannot be learned changes
// nothing: no execution is given a sandbox that was not made for it.
func (p *Pool) drainOutdated(ctx context.Context) {
	p.mu.Lock()
	keys := make(map[string]string)
	for action, l := range p.lines {
		keys[action] = l.key
	}
	p.mu.Unlock()
	for action, known := range keys {
		spec, there, err := p.Current(ctx, action)
		if err != nil || there && key(spec) == known {
			continue
		}
		p.mu.Lock()
		if l := p.lines[action]; l != nil && l.key == known {
			p.doom(l, len(l.ready))
			delete(p.lines, action)
		}
		p.mu.Unlock()
	}
}

// drain sets aside what has ended, what is too old, what is more than is wanted, and what does not fit.
func (p *Pool) drain(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var total int64
	for action, l := range p.lines {
		l.ready = slices.DeleteFunc(l.ready, func(w waiting) bool {
			_, err := w.sandbox.Memory()
			if err != nil {
				p.fail(l, w, err)
			}
			return err != nil
		})
		target := l.target(now, p.KeepFor)
		old := 0
		for old < len(l.ready) && (now.Sub(l.ready[old].made) > p.MaxAge || len(l.ready)-old > target) {
			old++
		}
		p.doom(l, old)
		for i := range l.ready {
			l.ready[i].memory, _ = l.ready[i].sandbox.Memory()
			l.each = max(l.ready[i].memory, 1)
		}
		total += l.memory()
		if target == 0 && len(l.ready) == 0 {
			delete(p.lines, action)
		}
	}
	for total > p.MemoryBytes {
		l := p.leastUsed()
		total -= l.ready[0].memory
		p.doom(l, 1)
	}
}

// leastUsed is the line, among those that have any, whose last use is the longest ago.
func (p *Pool) leastUsed() (least *line) {
	for _, l := range p.lines {
		if len(l.ready) > 0 && (least == nil || l.used.Before(least.used)) {
			least = l
		}
	}
	return least
}

// refill makes one sandbox for the line that lacks the most, and tells whether it tried.
func (p *Pool) refill(ctx context.Context) bool {
	l := p.neediest(time.Now())
	if l == nil {
		return false
	}
	spec := l.spec
	spec.ID, spec.Ahead = "warm-"+uuid.NewString(), true
	begun := time.Now()
	made, err := p.Runtime.Create(ctx, spec)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.Log.Warn("sandbox not made ahead", "error", err)
		p.stats.Failures++
		l.paused = true
		return true
	}
	p.stats.Refills++
	l.made(time.Since(begun))
	// It may be that nobody wants it any more.
	l.ready = append(l.ready, waiting{sandbox: made, id: spec.ID, made: time.Now(), memory: l.each})
	if !p.has(l) {
		p.doom(l, len(l.ready))
	}
	return true
}

func (p *Pool) has(l *line) bool {
	for _, other := range p.lines {
		if other == l {
			return true
		}
	}
	return false
}

// neediest is the line that lacks the most, nil when none lacks anything or there is no room. It makes room at the cost of
// lines that were used longer ago.
func (p *Pool) neediest(now time.Time) (needy *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var most int
	var total int64
	for _, l := range p.lines {
		total += l.memory()
		if lack := l.target(now, p.KeepFor) - len(l.ready); !l.paused && lack > most {
			needy, most = l, lack
		}
	}
	if needy == nil {
		return nil
	}
	for total+needy.each > p.MemoryBytes {
		l := p.leastUsed()
		if l == nil || !l.used.Before(needy.used) {
			return nil
		}
		total -= l.ready[0].memory
		p.doom(l, 1)
	}
	return needy
}
