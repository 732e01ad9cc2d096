package containerd

import (
	"errors"
	"math/rand/v2"
	"sync"
)

// The ids that sandboxes draw from: above what hosts give to people and services, below where a signed 32-bit number
// turns negative. That is 32,752 ranges.
const (
	firstHostID = 1 << 20
	endHostID   = 1 << 31
)

// idRanges hands every sandbox a range of user and group ids of its own, so that a process that broke out of one would
// own nothing of another.
//
// Within the process no range is given twice. Other workers of the same host are not asked: with a random choice out
// of this many a clash is unlikely, and it costs that second wall only, as the namespaces stay apart.
type idRanges struct {
	mu    sync.Mutex
	taken map[uint32]bool
	// spare were given back; the last comes first. Whoever mounts for one again finds much of it done.
	spare []uint32
}

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

// keep takes a range that an earlier process has given away.
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
