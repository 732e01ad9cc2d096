package sandbox

import (
	"testing"
	"time"
)

func TestPoolTarget(t *testing.T) {
	t.Parallel()
	const keepFor = time.Hour
	now := time.Unix(1e9, 0)
	s := newStock(Spec{})
	target := func(want int) {
		t.Helper()
		if got := s.target(now, keepFor); got != want {
			t.Errorf("%d are to wait, not %d", got, want)
		}
	}
	s.use(now, nil)
	target(1)
	// Ten a second for five minutes, each made in 0.4 s: four are asked for meanwhile, give or take two times two.
	s.refill = 0.4
	for range 3000 {
		now = now.Add(100 * time.Millisecond)
		s.use(now, nil)
	}
	target(9)
	now = now.Add(5 * time.Minute)
	target(1)
	now = now.Add(keepFor)
	target(0)
	for _, fixed := range []int{0, 3} {
		s.use(now, &fixed)
		target(fixed)
	}
}
