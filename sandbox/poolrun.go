package sandbox

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

const (
	// currentInterval is the time between two checks whether an action still needs the same sandbox.
	currentInterval = 5 * time.Second
	// restTime is how long a refill waits after a use. Most runs in a ready sandbox take less.
	restTime = 40 * time.Millisecond
)

// Run fills and drains the pool until ctx ends, then removes all ready sandboxes and returns. It makes sandboxes one at
// a time, to leave the processor to executions.
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
			// The execution that took a sandbox is using it now.
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

// close removes all ready sandboxes.
func (p *Pool) close(ctx context.Context) {
	p.mu.Lock()
	p.open = false
	for action, of := range p.stocks {
		p.discard(of, len(of.ready))
		delete(p.stocks, action)
	}
	p.mu.Unlock()
	p.remove(ctx)
}

// remove removes the discarded sandboxes. Runtime.List still finds those that cannot be removed.
func (p *Pool) remove(ctx context.Context) {
	p.mu.Lock()
	discarded := p.discarded
	p.discarded = nil
	p.mu.Unlock()
	for _, s := range discarded {
		if err := s.Remove(ctx); err != nil {
			p.Log.Error("unused sandbox not removed", "error", err)
		}
	}
}

// drainOutdated discards the stocks of actions that are gone, or that need another sandbox now. Where that cannot be
// learned, nothing changes: Take returns no sandbox of another Spec anyway.
func (p *Pool) drainOutdated(ctx context.Context) {
	p.mu.Lock()
	keys := make(map[string]string)
	for action, of := range p.stocks {
		keys[action] = of.key
	}
	p.mu.Unlock()
	for action, known := range keys {
		spec, there, err := p.Current(ctx, action)
		if err != nil || there && key(spec) == known {
			continue
		}
		p.mu.Lock()
		if of := p.stocks[action]; of != nil && of.key == known {
			p.discard(of, len(of.ready))
			delete(p.stocks, action)
		}
		p.mu.Unlock()
	}
}

// drain discards sandboxes that have ended, that are too old, that exceed the target of their stock, or that do not fit
// into the memory.
func (p *Pool) drain(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var total int64
	for action, of := range p.stocks {
		p.drainStock(of, now)
		total += of.memory()
		if len(of.ready) == 0 && of.target(now, p.KeepFor) == 0 {
			delete(p.stocks, action)
		}
	}
	p.makeRoom(total-p.MemoryBytes, nil)
}

// drainStock discards what one stock should not hold, and measures the rest.
func (p *Pool) drainStock(of *stock, now time.Time) {
	of.ready = slices.DeleteFunc(of.ready, func(r readySandbox) bool {
		_, err := r.sandbox.Memory()
		if err != nil {
			p.fail(of, r, err)
		}
		return err != nil
	})
	target := of.target(now, p.KeepFor)
	surplus := 0
	for surplus < len(of.ready) && (now.Sub(of.ready[surplus].made) > p.MaxAge || len(of.ready)-surplus > target) {
		surplus++
	}
	p.discard(of, surplus)
	for i := range of.ready {
		of.ready[i].memory, _ = of.ready[i].sandbox.Memory()
		of.each = max(of.ready[i].memory, 1)
	}
}

// makeRoom discards sandboxes of the stocks that were used longest ago until they gave back this many bytes, and
// reports whether they did. With a stock given, only those that were used before it do.
func (p *Pool) makeRoom(bytes int64, before *stock) bool {
	for bytes > 0 {
		least := p.leastUsed()
		if least == nil || before != nil && !least.used.Before(before.used) {
			return false
		}
		bytes -= least.ready[0].memory
		p.discard(least, 1)
	}
	return true
}

// leastUsed is the stock whose last use is the longest ago, among those that hold any.
func (p *Pool) leastUsed() (least *stock) {
	for _, of := range p.stocks {
		if len(of.ready) > 0 && (least == nil || of.used.Before(least.used)) {
			least = of
		}
	}
	return least
}

// refill makes one sandbox for the stock that lacks the most, and reports whether it tried.
func (p *Pool) refill(ctx context.Context) bool {
	of := p.neediest(time.Now())
	if of == nil {
		return false
	}
	spec := of.spec
	spec.ID, spec.Ahead = "warm-"+uuid.NewString(), true
	begun := time.Now()
	made, err := p.Runtime.Create(ctx, spec)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.Log.Warn("sandbox not made ahead", "error", err)
		p.stats.Failures++
		of.paused = true
		return true
	}
	p.stats.Refills++
	of.made(time.Since(begun))
	of.ready = append(of.ready, readySandbox{sandbox: made, id: spec.ID, made: time.Now(), memory: of.each})
	if !p.has(of) {
		p.discard(of, len(of.ready)) // the action changed meanwhile
	}
	return true
}

func (p *Pool) has(of *stock) bool {
	for _, other := range p.stocks {
		if other == of {
			return true
		}
	}
	return false
}

// neediest is the stock that lacks the most, nil when none lacks anything or there is no room. It makes room at the
// cost of stocks that were used longer ago.
func (p *Pool) neediest(now time.Time) (needy *stock) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var most int
	var total int64
	for _, of := range p.stocks {
		total += of.memory()
		if lack := of.target(now, p.KeepFor) - len(of.ready); !of.paused && lack > most {
			needy, most = of, lack
		}
	}
	if needy == nil || !p.makeRoom(total+needy.each-p.MemoryBytes, needy) {
		return nil
	}
	return needy
}
