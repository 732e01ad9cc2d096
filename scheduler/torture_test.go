package scheduler

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"attune/scheduler/history"
	"attune/storage/storagetest"
)

// What make torture sets; make test runs the short form.
const (
	tortureDuration = "ATTUNE_TORTURE_DURATION"
	tortureSeed     = "ATTUNE_TORTURE_SEED"
)

// tortureRound is how long one history goes on being disturbed.
const tortureRound = 4 * time.Second

// long is how long the long form goes on; 0 in the short form.
func long(t *testing.T) time.Duration {
	t.Helper()
	text := cmp.Or(os.Getenv(tortureDuration), "0s")
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", tortureDuration, err)
	}
	return d
}

// seed is the one that is asked for, or a new one.
func seed(t *testing.T) (number uint64, given bool) {
	t.Helper()
	text := os.Getenv(tortureSeed)
	if text == "" {
		return rand.Uint64N(1 << 32), false
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", tortureSeed, err)
	}
	return number, true
}

// TestRandomHistoriesKeepTheContract lets everything happen at once that the queue must bear, and has every commit
// judged. A seed fixes the policies and what each party decides, not how the parties' steps interleave.
func TestRandomHistoriesKeepTheContract(t *testing.T) {
	t.Parallel()
	number, given := seed(t)
	end := time.Now().Add(long(t))
	for {
		ok := t.Run(fmt.Sprint("SEED=", number), func(t *testing.T) {
			r := newRound(t, number, storagetest.DatabaseURL(t))
			r.run(t, tortureRound, r.cancels, r.policies, r.terminations, r.losses, r.leases)
			r.judge(t)
		})
		if !ok || given || !time.Now().Before(end) {
			return
		}
		number = rand.Uint64N(1 << 32)
	}
}

// report says what is wrong with a history. The first thing is the cause of most others, so its transaction is shown.
func report(t *testing.T, all []history.Transaction, found []history.Violation) {
	t.Helper()
	for i, v := range found {
		if i == 20 {
			t.Errorf("and %d more", len(found)-i)
			return
		}
		t.Error(v)
		if i > 0 || v.Position == len(all) {
			continue
		}
		for _, change := range all[v.Position].Changes {
			t.Logf("%s %s\n\tfrom %v\n\tto   %v", change.Op, change.Table, change.Old, change.New)
		}
	}
}
