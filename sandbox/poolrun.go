package sandbox

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// restTime is how long a refill waits after a use. Most runs in a ready sandbox take less.
const restTime = 40 * time.Millisecond

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
	var checked time.Time
	for ctx.Err() == nil {
		if time.Since(checked) >= p.Interval {
			checked = time.Now()
			p.drainOutdated(ctx)
			p.check()
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

// check discards sandboxes that have ended or exceeded their processor time, and measures the others. With many of them
// it takes a while, and Take does not wait for it.
func (p *Pool) check() {
	p.mu.Lock()
	ready := make(map[*stock][]readySandbox)
	for _, of := range p.stocks {
		ready[of] = slices.Clone(of.ready)
	}
	p.mu.Unlock()
	for of, sandboxes := range ready {
		for _, r := range sandboxes {
			took, err := r.sandbox.Waiting()
			if err == nil {
				err = r.overspent(took, time.Now())
			}
			p.note(of, r.id, took.MemoryBytes, err)
		}
	}
}

// note records what a check of a sandbox found, unless the sandbox was taken or discarded meanwhile.
func (p *Pool) note(of *stock, id string, memory int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(of.ready, func(r readySandbox) bool { return r.id == id })
	switch {
	case i < 0:
	case err != nil:
		lost := of.ready[i]
		of.ready = slices.Delete(of.ready, i, i+1)
		p.fail(of, lost, err)
	default:
		of.ready[i].memory = memory
		of.each = max(memory, 1)
	}
}

// drain discards sandboxes that are too old, that exceed the target of their stock, or that do not fit into the memory.
func (p *Pool) drain(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var total int64
	for action, of := range p.stocks {
		target, surplus := of.target(now, p.KeepFor), 0
		for surplus < len(of.ready) && (now.Sub(of.ready[surplus].made) > p.MaxAge || len(of.ready)-surplus > target) {
			surplus++
		}
		p.discard(of, surplus)
		total += of.memory()
		if len(of.ready) == 0 && target == 0 {
			delete(p.stocks, action)
		}
	}
	p.makeRoom(total-p.MemoryBytes, nil)
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
