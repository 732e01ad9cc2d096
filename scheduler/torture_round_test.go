package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"attune"
	"attune/scheduler/history"
	"attune/storage/storagetest"
)

// round is one random history: a database with packs, workers of two processes, and those who disturb them.
type round struct {
	seed      uint64
	queues    []*Queue   // of two processes
	swallower *swallower // before the second
	actions   []attune.Action
	recorder  *history.Recorder
	host      *host
	// plain: no limit stands above single queues, so that the plain admission gives.
	plain bool

	mu           sync.Mutex
	acknowledged []string
	streams      uint64
}

// newRound draws the packs and installs them in an empty database with the newest schema.
func newRound(t *testing.T, seed uint64, url string) *round {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			name, _, _ := strings.Cut(t.Name(), "/")
			t.Logf("play it again with: make torture SEED=%d TESTFLAGS='-run %s'", seed, name)
		}
	})
	r := &round{seed: seed, recorder: history.Start(t, url)}
	other, swallower := behind(t, url, ofAnything)
	first := NewQueue(storagetest.ReopenDB(t, url), slog.New(slog.DiscardHandler))
	r.queues, r.swallower = []*Queue{first, other}, swallower
	random := r.random()
	r.plain = random.IntN(2) == 0
	for _, pack := range []string{"left", "right"} {
		var actions []attune.Action
		for i := range 3 {
			a := attune.Action{
				Ref: fmt.Sprint(pack, ".a", i), Parameters: json.RawMessage(customers), Policy: r.drawPolicy(random, true),
			}
			if random.IntN(2) == 0 {
				a.Retry = &attune.Retry{MaxAttempts: 3, BackoffSeconds: 0.05, MaxBackoffSeconds: 0.1}
			}
			actions = append(actions, a)
		}
		serve(t, r.queues[0].db, attune.Manifest{
			Ref: pack, Version: "1.0.0", Policy: r.drawPolicy(random, false), Actions: actions,
		})
		r.actions = append(r.actions, actions...)
	}
	r.host = wildHost(r.random(), r.actions...)
	return r
}

const customers = `{"type": "object", "properties": {"customer": {"type": "string"}, "color": {"type": "string"}}}`

// random is a stream of decisions of the party that asks.
func (r *round) random() *rand.Rand {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams++
	return rand.New(rand.NewPCG(r.seed, r.streams))
}

// drawPolicy is narrow enough to hold executions up and wide enough to let them through within seconds.
func (r *round) drawPolicy(random *rand.Rand, ofAction bool) attune.Policy {
	var p attune.Policy
	if random.IntN(3) > 0 {
		p.Concurrency = &attune.Concurrency{Limit: 1 + random.IntN(4)}
		if ofAction && random.IntN(2) == 0 {
			p.Concurrency.Key = [][]string{{"customer"}, {"color"}, {"customer", "color"}}[random.IntN(3)]
			if total := 1 + random.IntN(6); total >= p.Concurrency.Limit {
				p.Concurrency.Total = &total
			}
		}
		if ofAction {
			p.Concurrency.Method = []attune.Method{attune.MethodEnqueue, attune.MethodEnqueue, attune.MethodEnqueue,
				attune.MethodEnqueue,
				attune.MethodCancelOldest, attune.MethodReject}[random.IntN(6)]
		}
	}
	if random.IntN(3) == 0 {
		p.RateLimit = &attune.RateLimit{MaxExecutions: 5 + random.IntN(20), WindowSeconds: 1}
	}
	if random.IntN(4) == 0 {
		seconds := 1 + random.IntN(2)
		p.MaxWaitSeconds = &seconds
	}
	if random.IntN(4) == 0 {
		most := 20 + random.IntN(50)
		p.MaxWaiting = &most
	}
	if random.IntN(6) == 0 {
		p.Quota = &attune.Quota{MaxExecutions: 50, PeriodSeconds: 1}
	}
	if r.plain {
		p.RateLimit = nil
		if !ofAction {
			p.Concurrency = nil
		} else if p.Concurrency != nil {
			p.Concurrency.Total = nil
		}
	}
	return p
}

// disturbance is a party that makes it hard for the others until its context ends.
type disturbance func(context.Context, *testing.T, *Queue, *rand.Rand)

// run lets the parties loose for a while, and then waits until the work is done.
func (r *round) run(t *testing.T, d time.Duration, disturbances ...disturbance) {
	t.Helper()
	disturbed, calm := context.WithTimeout(t.Context(), d)
	defer calm()
	working, stop := context.WithCancel(t.Context())
	var parties, workers sync.WaitGroup
	workers.Go(func() { _ = r.queues[0].Run(working) }) // the other process relies on polling
	for i := range 3 {
		workers.Go(func() { r.employ(disturbed, working, t, fmt.Sprint("w", i), r.queues[i%2]) })
	}
	for i := range 4 {
		parties.Go(func() { r.submitter(disturbed, t, r.queues[i%2], r.random()) })
	}
	for _, disturb := range disturbances {
		parties.Go(func() { disturb(disturbed, t, r.queues[1], r.random()) })
	}
	parties.Wait()
	r.widen(t)
	awaitDrained(t, r.queues[0])
	stop()
	workers.Wait()
}

// awaitDrained returns when nothing is left to do.
func awaitDrained(t *testing.T, q *Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		var open int
		err := q.db.Pool().QueryRow(ctx, `select (select count(*) from waiting) + (select count(*) from delayed)
			+ (select count(*) from slots where status <> 'free')`).Scan(&open)
		if err == nil && open == 0 {
			return
		}
		if !pause(ctx, 20*time.Millisecond) {
			t.Errorf("%d executions do not come to their end (%v)", open, err)
			return
		}
	}
}

func (r *round) judge(t *testing.T) {
	t.Helper()
	all, err := r.recorder.Transactions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report(t, all, history.CheckDrained(all, r.acknowledged))
	r.host.judge(t)
	t.Logf("%d transactions, %d executions acknowledged, %d attempts begun", len(all), len(r.acknowledged), r.host.count())
}
