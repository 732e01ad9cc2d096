package scheduler

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"attune"
)

// asked returns what the full statement would give, and takes it back.
func asked(t *testing.T, q *Queue, n int) (chosen []string) {
	t.Helper()
	life := lifeOf(t, q, "w")
	undo := errors.New("only asked")
	err := q.admission(t.Context(), func(tx pgx.Tx) error {
		claims, err := takeClaims(t.Context(), tx, admitSQL, life, n)
		chosen = ids(claims)
		return errors.Join(err, undo)
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	return chosen
}

// TestAdmissionsGiveTheSame: long queues and short ones, in bursts and mixed, with room for few and for many.
func TestAdmissionsGiveTheSame(t *testing.T) {
	t.Parallel()
	keyed := action("keyed", 0)
	keyed.Parameters = []byte(`{"type": "object", "properties": {"k": {"type": "integer"}}}`)
	keyed.Policy.Concurrency = &attune.Concurrency{Limit: 2, Key: []string{"k"}}
	q := setup(t, action("one", 1), action("three", 3), action("free", 0), action("rare", 2), keyed)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var held []Claim
	for round := range 60 {
		for range random.IntN(3) { // a burst of one action
			name := []string{"one", "three", "free", "rare", "keyed"}[random.IntN(5)]
			for range random.IntN(12) {
				if _, err := q.Submit(t.Context(), Submission{Action: "ops." + name,
					Parameters: parametersOf(name, random)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		n := 1 + random.IntN(20)
		q.layered.Store(true)
		want := asked(t, q, n)
		q.layered.Store(false)
		claims := admit(t, q, "w", n)
		got := ids(claims)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, round %d: asked for %d, it gave %v, the full admission would have given %v", seed, round, n, got,
				want)
		}
		held = append(held, claims...)
		for len(held) > 12 || len(held) > 0 && random.IntN(3) > 0 {
			end(t, q, "w", held[0])
			held = held[1:]
		}
	}
}

func parametersOf(name string, random *rand.Rand) []byte {
	if name != "keyed" {
		return nil
	}
	return []byte(`{"k": ` + string(rune('0'+random.IntN(4))) + `}`)
}

// TestLimitAboveQueuesIsFound by an admission that knew of none.
func TestLimitAboveQueuesIsFound(t *testing.T) {
	t.Parallel()
	q := setup(t, action("free", 0))
	if _, err := q.SetPolicy(t.Context(), attune.Scope{},
		attune.Policy{Concurrency: &attune.Concurrency{Limit: 1}}); err != nil {
		t.Fatal(err)
	}
	first := submit(t, q, "ops.free")
	submit(t, q, "ops.free")
	life := lifeOf(t, q, "w")
	a, err := q.admitWith(t.Context(), admitPlainSQL, life, 5)
	if err != nil || len(a.claims) != 0 || a.left != 2 || !a.layered {
		t.Errorf("the plain admission gave %+v, %v", a, err)
	}
	q.layered.Store(false)
	a, err = q.admit(t.Context(), life, 5)
	if err != nil || len(a.claims) != 1 || a.claims[0].ID != first.ID || a.left != 1 {
		t.Errorf("admitted %+v, want %s alone: %v", a, first.ID, err)
	}
}
