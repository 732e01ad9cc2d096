package containerd

import (
	"errors"
	"math/rand/v2"
	"sync"
)

// The ids for sandboxes: above those that hosts give to people and services, and below 2³¹, where signed numbers turn
// negative. That is 32,752 ranges.
const (
	firstHostID = 1 << 20
	endHostID   = 1 << 31
)

// idRanges gives every sandbox a range of user and group ids of its own, so that a process that breaks out of one owns
// nothing of another.
//
// No two sandboxes of this process have the same range. Two workers on one host may choose the same one, which is
// unlikely, as the choice is random. It costs only this second line of defense: the namespaces are still apart.
type idRanges struct {
	mu    sync.Mutex
	taken map[uint32]bool
	// spare ranges were released, the last one is used first: a root that is mounted for it may still be there.
	spare []uint32
}

// take returns the first id of a free range.
func (r *idRanges) take() (uint32, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken == nil {
		r.taken = make(map[uint32]bool)
	}
	if last := len(r.spare) - 1; last >= 0 {
		base := r.spare[last]
		r.spare, r.taken[base] = r.spare[:last], true
		return base, nil
	}
	const ranges = (endHostID - firstHostID) / idRangeSize
	start := rand.Uint32N(ranges) //nolint:gosec // spreads the ranges, guards nothing
	for i := range uint32(ranges) {
		base := firstHostID + (start+i)%ranges*idRangeSize
		if !r.taken[base] {
			r.taken[base] = true
			return base, nil
		}
	}
	return 0, errors.New("every range of user ids is in use")
}

// keep marks a range as taken, by a sandbox of an earlier process.
func (r *idRanges) keep(base uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken == nil {
		r.taken = make(map[uint32]bool)
	}
	r.taken[base] = true
}

func (r *idRanges) release(base uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken[base] {
		delete(r.taken, base)
		r.spare = append(r.spare, base)
	}
}
