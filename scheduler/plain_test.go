package scheduler

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// asked returns what the full statement would give, and takes it back.
func asked(t *testing.T, q *Queue, n int) (chosen []string) {
	t.Helper()
	life := lifeOf(t, q, "w")
	undo := errors.New("only asked")
	err := q.admission(t.Context(), func(tx pgx.Tx) error {
		rows, err := tx.Query(t.Context(), admitSQL, life.Name, life.ID, n, rand.Int64N(maxNumber), false)
		if err != nil {
			return err
		}
		claims, _, err := scanAdmission(rows, n)
		chosen = ids(claims)
		return errors.Join(err, undo)
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	return chosen
}

// TestAdmissionsGiveTheSame: long lines and short ones, in bursts and mixed, with room for few and for many.
func TestAdmissionsGiveTheSame(t *testing.T) {
	t.Parallel()
	for name, quiet := range map[string]bool{"plain": false, "few": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			admissionsGiveTheSame(t, quiet)
		})
	}
}

func admissionsGiveTheSame(t *testing.T, quiet bool) {
	t.Helper()
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
				if _, err := q.Submit(t.Context(), Submission{Action: "ops." + name, Parameters: parametersOf(name, random)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		n := 1 + random.IntN(20)
		q.layered.Store(true)
		want := asked(t, q, n)
		q.layered.Store(false)
		claims, _, err := q.admit(t.Context(), lifeOf(t, q, "w"), n, quiet, false)
		if err != nil {
			t.Fatal(err)
		}
		got := ids(claims)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, round %d: asked for %d, it gave %v, the full admission would have given %v", seed, round, n, got, want)
		}
		held = append(held, claims...)
		// So few that those who look only at the first slots find as many as they ask for.
		for len(held) > storage.FewSlots-20 || len(held) > 0 && random.IntN(3) > 0 {
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

func TestPlainAdmissionsKeepOffWhereLimitsStandAbove(t *testing.T) {
	t.Parallel()
	q := setup(t, action("free", 0))
	q.layered.Store(false)
	if _, err := q.SetPolicy(t.Context(), attune.Scope{}, attune.Policy{Concurrency: &attune.Concurrency{Limit: 1}}); err != nil {
		t.Fatal(err)
	}
	first := submit(t, q, "ops.free")
	submit(t, q, "ops.free")
	for _, quiet := range []bool{false, true} {
		if claims, _, err := q.admit(t.Context(), lifeOf(t, q, "w"), 5, quiet, false); err != nil || len(claims) > 0 {
			t.Errorf("admitted %v without a look at the limit: %v", ids(claims), err)
		}
	}
	if _, misjudged, err := q.look(context.WithoutCancel(t.Context())); err != nil || !misjudged {
		t.Errorf("the wrong guess was not noticed: %v", err)
	}
	if claims := admit(t, q, "w", 5); len(claims) != 1 || claims[0].ID != first.ID {
		t.Errorf("admitted %v, want %s alone", ids(claims), first.ID)
	}
}

// TestFewAreCountedAmongAll: the admission that looks at few slots misses none that is taken of another worker, whichever gave
// it, and also when the bound of those it looks at was lowered.
func TestFewAreCountedAmongAll(t *testing.T) {
	t.Parallel()
	const limit = storage.FewSlots + 8
	for name, layered := range map[string]bool{"after the plain one": false, "after the full one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := setup(t, action("many", limit))
			life, other := lifeOf(t, q, "w"), lifeOf(t, q, "other")
			for range limit + 2 {
				submit(t, q, "ops.many")
			}
			q.layered.Store(layered)
			claims, _, err := q.admit(t.Context(), life, limit+2, false, false)
			if err != nil || len(claims) != limit {
				t.Fatalf("admitted %d, want %d: %v", len(claims), limit, err)
			}
			q.layered.Store(false)
			few := func(want, leaves int) {
				t.Helper()
				if got, left, err := q.admit(t.Context(), other, limit, true, false); err != nil || len(got) != want || left != leaves {
					t.Errorf("admitted %d and left %d, want %d and %d: %v", len(got), left, want, leaves, err)
				}
			}
			few(0, 2)
			for i, freed := range []int{1, 2} {
				c := slices.IndexFunc(claims, func(c Claim) bool { return c.Slot == freed })
				end(t, q, "w", claims[c])
				if err := q.tidy(t.Context()); err != nil {
					t.Fatal(err)
				}
				few(1, 1-i)
				few(0, 1-i)
			}
		})
	}
}
