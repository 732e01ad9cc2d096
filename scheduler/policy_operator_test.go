package scheduler

import (
	"testing"

	"attune"
)

func TestPolicyOfTheOperatorStandsInFront(t *testing.T) {
	t.Parallel()
	q := setup(t)
	scope := attune.Scope{}
	in := func(want ...int) {
		t.Helper()
		all, err := q.db.Policies.List(t.Context(), nil)
		if err != nil || len(all) != len(want) {
			t.Fatalf("in force is %+v, %v; want %v", all, err, want)
		}
		for i, limit := range want {
			if p := all[i]; p.Scope != "global" || p.Origin != attune.OriginOperator || p.Policy.Concurrency.Limit != limit ||
				p.UpdatedAt.IsZero() {
				t.Errorf("in force is %+v", p)
			}
		}
	}
	in()
	for _, limit := range []int{3, 5} {
		set, err := q.SetPolicy(t.Context(), scope, attune.Policy{Concurrency: &attune.Concurrency{Limit: limit}})
		if err != nil || set.Scope != "global" || set.Policy.Concurrency.Limit != limit {
			t.Fatalf("set: %+v, %v", set, err)
		}
		in(limit)
	}
	if err := q.DeletePolicy(t.Context(), scope); err != nil {
		t.Fatal(err)
	}
	in()
	if err := q.DeletePolicy(t.Context(), scope); attune.CodeOf(err) != attune.CodeNotFound {
		t.Errorf("delete it again: %v", err)
	}
}

func TestPolicyOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	q := setup(t)
	for name, scope := range map[string]attune.Scope{"pack": {Pack: "none"}, "action": {Action: "none.at-all"}} {
		_, err := q.SetPolicy(t.Context(), scope, attune.Policy{Concurrency: &attune.Concurrency{Limit: 1}})
		if attune.CodeOf(err) != attune.CodeNotFound {
			t.Errorf("set for a %s: %v", name, err)
		}
		if err := q.DeletePolicy(t.Context(), scope); attune.CodeOf(err) != attune.CodeNotFound {
			t.Errorf("delete for a %s: %v", name, err)
		}
	}
	if all, err := q.db.Policies.List(t.Context(), []string{"none"}); err != nil || len(all) != 0 {
		t.Errorf("in force is %+v, %v", all, err)
	}
}
