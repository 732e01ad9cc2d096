package logs

import (
	"testing"
	"time"
)

func TestSlowLogHasFewSegments(t *testing.T) {
	t.Parallel()
	for length, most := range map[time.Duration]int{time.Minute: 200, time.Hour: 1000, 24 * time.Hour: 10_000} {
		count := 0
		for age := time.Duration(0); age < length; age += segmentPause(age) {
			count++
		}
		if count > most {
			t.Errorf("a log of %s has %d segments", length, count)
		}
	}
}
