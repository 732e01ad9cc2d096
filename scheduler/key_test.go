package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
)

func TestEachKeyHasItsOwnQueue(t *testing.T) {
	t.Parallel()
	q := setup(t, keyed("a", 1))
	ada := submitWith(t, q, "ops.a", `{"customer":"ada"}`)
	ada2 := submitWith(t, q, "ops.a", `{"customer":"\u0061da"}`)
	bob := submitWith(t, q, "ops.a", `{"customer":"bob"}`)
	none := submitWith(t, q, "ops.a", `{"region":"eu"}`)
	null := submitWith(t, q, "ops.a", `{"customer":null}`)
	text := submitWith(t, q, "ops.a", `{"customer":"null"}`)
	for _, test := range []struct {
		e        attune.Execution
		key      string
		position int
	}{
		{ada, `{"customer":"ada"}`, 1},
		{ada2, `{"customer":"ada"}`, 2},
		{bob, `{"customer":"bob"}`, 1},
		{none, `{"customer":null}`, 1},
		{null, `{"customer":null}`, 2},
		{text, `{"customer":"null"}`, 1},
	} {
		for _, e := range []attune.Execution{test.e, get(t, q, test.e.ID)} {
			if e.Key != test.key || e.Position == nil || *e.Position != test.position {
				t.Errorf("it stands in %s at %v, want %s at %d", e.Key, e.Position, test.key, test.position)
			}
		}
	}
	claims := wantAdmitted(t, q, 10, ada, bob, none, text)
	wantAdmitted(t, q, 10)
	end(t, q, "w", claims[2])
	wantAdmitted(t, q, 10, null)
	end(t, q, "w", claims[0])
	wantAdmitted(t, q, 10, ada2)
}

func TestTotalBoundsAllKeys(t *testing.T) {
	t.Parallel()
	a := keyed("a", 2)
	total := 3
	a.Policy.Concurrency.Total = &total
	q := setup(t, a)
	one, two := submitWith(t, q, "ops.a", `{"customer":1}`), submitWith(t, q, "ops.a", `{"customer":1}`)
	third := submitWith(t, q, "ops.a", `{"customer":1}`)
	other, last := submitWith(t, q, "ops.a", `{"customer":2}`), submitWith(t, q, "ops.a", `{"customer":3}`)
	claims := wantAdmitted(t, q, 10, one, two, other)
	end(t, q, "w", claims[2])
	claims = append(claims, wantAdmitted(t, q, 10, last)...)
	end(t, q, "w", claims[0])
	wantAdmitted(t, q, 10, third)
}

func TestLongKeysAreToldApart(t *testing.T) {
	t.Parallel()
	q := setup(t, keyed("a", 1))
	long := func(last string) string {
		return fmt.Sprintf(`{"customer":%q}`, strings.Repeat("x", 20_000)+last)
	}
	first, same, other := submitWith(t, q, "ops.a", long("1")), submitWith(t, q, "ops.a", long("1")),
		submitWith(t, q, "ops.a", long("2"))
	if first.Key != same.Key || first.Key == other.Key || len(first.Key) > 200 {
		t.Errorf("the keys are %.200s, %.200s and %.200s", first.Key, same.Key, other.Key)
	}
	wantAdmitted(t, q, 10, first, other)
}

// TestEqualNumbersAreOneKey: writing 1.0 must not get around the limit of 1.
func TestEqualNumbersAreOneKey(t *testing.T) {
	t.Parallel()
	q := setup(t, keyed("a", 1))
	first := submitWith(t, q, "ops.a", `{"customer":10}`)
	for _, n := range []string{"10.0", "1e1", "100e-1"} {
		if e := submitWith(t, q, "ops.a", `{"customer":`+n+`}`); e.Key != first.Key {
			t.Errorf("%s has the key %s, and 10 has %s", n, e.Key, first.Key)
		}
	}
	big := submitWith(t, q, "ops.a", `{"customer":10000000000000000000001}`)
	if near := submitWith(t, q, "ops.a", `{"customer":10000000000000000000002}`); near.Key == big.Key {
		t.Errorf("two numbers have the key %s", big.Key)
	}
}

func TestKeyOfManyLongValuesFits(t *testing.T) {
	t.Parallel()
	a := action("a", 1)
	properties, parameters := map[string]any{}, map[string]string{}
	for i := range attune.MaxKeyParameters {
		name := fmt.Sprintf("%d_%s", i, noise(i, 100))
		properties[name], parameters[name] = map[string]any{}, noise(100+i, 250)
		a.Policy.Concurrency.Key = append(a.Policy.Concurrency.Key, name)
	}
	a.Parameters, _ = json.Marshal(map[string]any{"type": "object", "properties": properties})
	q := setup(t, a)
	text, _ := json.Marshal(parameters)
	first, second := submitWith(t, q, "ops.a", string(text)), submitWith(t, q, "ops.a", string(text))
	if *first.Position != 1 || *second.Position != 2 {
		t.Errorf("their positions are %d and %d", *first.Position, *second.Position)
	}
}

// noise is text that does not compress.
func noise(seed, n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	text := make([]byte, n)
	x := uint64(seed)*0x9e3779b97f4a7c15 + 1
	for i := range text {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		text[i] = letters[x>>32%64]
	}
	return string(text)
}

func TestStatsByKey(t *testing.T) {
	t.Parallel()
	a := keyed("a", 1)
	total := 5
	a.Policy.Concurrency.Total = &total
	q := setup(t, a, action("b", 0))
	for range 3 {
		submitWith(t, q, "ops.a", `{"customer":"ada"}`)
	}
	bob := submitWith(t, q, "ops.a", `{"customer":"bob"}`)
	claims := admit(t, q, "w", 10)
	submit(t, q, "ops.b")
	s, err := q.Stats(t.Context(), "ops.a")
	if err != nil {
		t.Fatal(err)
	}
	if s.Waiting != 2 || s.Running != 2 || s.Limit == nil || *s.Limit != 5 || len(s.Keys) != 2 {
		t.Fatalf("the action has %+v", s)
	}
	if k := s.Keys[0]; k.Key != `{"customer":"ada"}` || k.Waiting != 2 || k.Running != 1 || *k.Limit != 1 ||
		k.OldestWaitSeconds == nil {
		t.Errorf("ada has %+v", k)
	}
	if k := s.Keys[1]; k.Key != bob.Key || k.Waiting != 0 || k.Running != 1 || k.OldestWaitSeconds != nil {
		t.Errorf("bob has %+v", k)
	}
	end(t, q, "w", claims[1])
	states, err := q.States(t.Context(), nil)
	if err != nil || len(states) != 2 {
		t.Fatalf("the queues are %+v, %v", states, err)
	}
	if s := states[0]; s.Action != "ops.a" || s.Key != `{"customer":"ada"}` || s.Waiting != 2 || s.Running != 1 ||
		*s.Limit != 1 {
		t.Errorf("the longest queue is %+v", s)
	}
	if s := states[1]; s.Action != "ops.b" || s.Key != "" || s.Waiting != 1 || s.Limit != nil {
		t.Errorf("the other queue is %+v", s)
	}
	if states, err = q.States(t.Context(), []string{"another"}); err != nil || len(states) != 0 {
		t.Errorf("a token for another pack sees %+v, %v", states, err)
	}
}

// TestNewKeyKeepsOrderAndLimits: what waits, runs and pauses moves to the queues of the new key.
func TestNewKeyKeepsOrderAndLimits(t *testing.T) {
	t.Parallel()
	a := keyed("a", 1)
	a.Retry = &attune.Retry{MaxAttempts: 2, BackoffSeconds: 60, MaxBackoffSeconds: 60}
	q := setup(t, a)
	paused := submitWith(t, q, "ops.a", `{"customer":"ada","region":"eu"}`)
	fail(t, q, wantAdmitted(t, q, 1, paused)[0], a.Retry, 1)
	runs := submitWith(t, q, "ops.a", `{"customer":"ada","region":"eu"}`)
	claim := wantAdmitted(t, q, 10, runs)[0]
	begin(t, q, "w", claim)
	first := submitWith(t, q, "ops.a", `{"customer":"ada","region":"us"}`)
	second := submitWith(t, q, "ops.a", `{"customer":"bob","region":"us"}`)
	third := submitWith(t, q, "ops.a", `{"customer":"bob","region":"eu"}`)

	byRegion := attune.Policy{Concurrency: &attune.Concurrency{Limit: 1, Key: []string{"region"}}}
	setPolicy(t, q, attune.Scope{Action: "ops.a"}, byRegion)
	for e, want := range map[*attune.Execution]int{&first: 1, &second: 2, &third: 1} {
		if got := get(t, q, e.ID); got.Position == nil || *got.Position != want || !strings.Contains(got.Key, "region") {
			t.Errorf("it stands in %s at %v, want %d", got.Key, got.Position, want)
		}
	}
	us := wantAdmitted(t, q, 10, first)[0] // eu is taken by what runs
	promoteAll(t, q)
	if got := get(t, q, paused.ID); got.Position == nil || *got.Position != 2 || got.Key != `{"region":"eu"}` {
		t.Errorf("what paused stands in %s at %v, want the end of eu", got.Key, got.Position)
	}
	finish(t, q, "w", claim, Outcome{Status: attune.StatusCompleted})
	eu := wantAdmitted(t, q, 10, third)[0]
	end(t, q, "w", us)
	end(t, q, "w", eu)
	for _, c := range wantAdmitted(t, q, 10, second, paused) {
		end(t, q, "w", c)
	}

	// Without a key all stand in one queue, in the order of their tickets.
	one, two := submitWith(t, q, "ops.a", `{"region":"us"}`), submitWith(t, q, "ops.a", `{"region":"eu"}`)
	setPolicy(t, q, attune.Scope{Action: "ops.a"}, concurrency(1))
	three := submitWith(t, q, "ops.a", `{"region":"us"}`)
	for _, e := range []attune.Execution{one, two, three} {
		end(t, q, "w", wantAdmitted(t, q, 10, e)[0])
	}
}

// TestNewKeyMeetsAttemptThatEnds: the attempt ends in the middle of the change, and its next one stands in the new
// queue.
func TestNewKeyMeetsAttemptThatEnds(t *testing.T) {
	t.Parallel()
	a := retried("a", 1, 2)
	a.Parameters = keyed("a", 1).Parameters
	q := setup(t, a)
	e := submitWith(t, q, "ops.a", `{"customer":"ada"}`)
	c := admit(t, q, "w", 1)[0]
	begin(t, q, "w", c)
	changed := make(chan error, 1)
	err := pgx.BeginFunc(t.Context(), q.db.Pool(), func(tx pgx.Tx) error {
		delayIn(t, tx, c, time.Minute)
		go func() {
			_, err := q.SetPolicy(context.WithoutCancel(t.Context()), attune.Scope{Action: "ops.a"}, keyed("a", 1).Policy)
			changed <- err
		}()
		return awaitBlocked(t, q)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-changed; err != nil {
		t.Fatal(err)
	}
	promoteAll(t, q)
	if got := get(t, q, e.ID); got.Key != `{"customer":"ada"}` {
		t.Errorf("the next attempt stands in the queue %q", got.Key)
	}
}

// awaitBlocked returns when a statement in the database of q waits for a lock.
func awaitBlocked(t *testing.T, q *Queue) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		var n int
		err := q.db.Pool().QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock'`).Scan(&n)
		if err != nil || n > 0 {
			return err
		}
		<-tick.C
	}
	return fmt.Errorf("no statement waits for a lock")
}

// TestAnotherProcessLearnsOfTheKey: what a process has cached of an action does not lead into the wrong queue.
func TestAnotherProcessLearnsOfTheKey(t *testing.T) {
	t.Parallel()
	q := setup(t, keyed("a", 1))
	other := NewQueue(q.db, q.log)
	for _, p := range []string{"region", "customer", "region"} {
		submitWith(t, other, "ops.a", `{"customer":1,"region":2}`)
		setPolicy(t, q, attune.Scope{Action: "ops.a"},
			attune.Policy{Concurrency: &attune.Concurrency{Limit: 1, Key: []string{p}}})
		e := submitWith(t, other, "ops.a", `{"customer":1,"region":2}`)
		if got := get(t, q, e.ID); !strings.Contains(e.Key, p) || got.Key != e.Key || *got.Position != *e.Position {
			t.Errorf("after a change to %s it says %s at %d, and stands in %s at %d", p, e.Key, *e.Position, got.Key,
				*got.Position)
		}
	}
}

// TestLimitCountsWhatRunsOnAfterItsPackWasRemoved: the pack comes back without its concurrency key, and all admissions
// count what began under it.
func TestLimitCountsWhatRunsOnAfterItsPackWasRemoved(t *testing.T) {
	t.Parallel()
	q := setup(t, keyed("a", 1))
	submitWith(t, q, "ops.a", `{"customer": "ann"}`)
	c := admit(t, q, "w", 1)[0]
	begin(t, q, "w", c)
	if err := q.RemovePack(t.Context(), "ops"); err != nil {
		t.Fatal(err)
	}
	installed(t, q.db, action("a", 1))
	next := submit(t, q, "ops.a")
	for _, layered := range []bool{true, false} {
		q.layered.Store(layered)
		wantAdmitted(t, q, 5)
	}
	finish(t, q, "w", c, Outcome{Status: attune.StatusCompleted})
	wantAdmitted(t, q, 5, next)
}
