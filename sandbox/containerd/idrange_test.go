package containerd

import (
	"sync"
	"testing"
)

func TestIDRangesAreUnique(t *testing.T) {
	t.Parallel()
	var ranges idRanges
	var mu sync.Mutex
	seen := map[uint32]bool{}
	var takers sync.WaitGroup
	for range 8 {
		takers.Go(func() {
			for range 500 {
				base, err := ranges.take()
				mu.Lock()
				if err != nil || seen[base] || base < 1<<20 || base%idRangeSize != 0 || uint64(base)+idRangeSize > 1<<31 {
					t.Errorf("got %d, %v", base, err)
				}
				seen[base] = true
				mu.Unlock()
			}
		})
	}
	takers.Wait()
}

func TestIDRangesEndAndComeBack(t *testing.T) {
	t.Parallel()
	var ranges idRanges
	var last uint32
	for range (endHostID - firstHostID) / idRangeSize {
		base, err := ranges.take()
		if err != nil {
			t.Fatal(err)
		}
		last = base
	}
	if _, err := ranges.take(); err == nil {
		t.Error("more ranges than there are")
	}
	ranges.release(last)
	if base, err := ranges.take(); err != nil || base != last {
		t.Errorf("got %d, %v, want the one that was given back", base, err)
	}
}
