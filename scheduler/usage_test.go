package scheduler

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"attune"
	"attune/storage"
)

// TestEveryAttemptKeepsWhatItTookAndLeft, the last one and those before it.
func TestEveryAttemptKeepsWhatItTookAndLeft(t *testing.T) {
	t.Parallel()
	a := retried("a", 0, 2)
	q := setup(t, a)
	e := submit(t, q, "ops.a")
	outcome := func(name string, cpu float64) Outcome {
		return Outcome{
			Status: attune.StatusFailed, Reason: attune.ReasonExitCode,
			Usage:   &attune.Usage{CPUSeconds: cpu, PeakMemoryBytes: 5 << 30, ThrottledSeconds: 0.25},
			Outputs: []attune.OutputFile{{Name: name, Size: 5 << 30, SHA256: "ab"}, {Name: "söme/Ω \"x\".txt"}},
		}
	}
	first, last := outcome("first", 1.5), outcome("last", 0.000001)
	for _, o := range []Outcome{first, last} {
		c := wantAdmitted(t, q, 1, e)[0]
		begin(t, q, "w", c)
		settleAs(t, q, c, a.Retry, o)
		promoteAll(t, q)
	}
	got := get(t, q, e.ID)
	if len(got.Attempts) != 1 {
		t.Fatalf("it is %+v", got)
	}
	for _, diff := range []string{
		cmp.Diff(first.Usage, got.Attempts[0].Usage), cmp.Diff(first.Outputs, got.Attempts[0].Outputs),
		cmp.Diff(last.Usage, got.Usage), cmp.Diff(last.Outputs, got.Outputs),
	} {
		if diff != "" {
			t.Error(diff)
		}
	}
	listed, _, err := q.db.Executions.List(t.Context(), storage.ExecutionFilter{})
	if err != nil || len(listed) != 1 || listed[0].Usage == nil || listed[0].Outputs != nil {
		t.Errorf("listed as %+v, %v", listed, err)
	}
}

// TestOneThatNeverRanTookNothing: there is no usage, which is not the same as one of zero.
func TestOneThatNeverRanTookNothing(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0))
	e := submit(t, q, "ops.a")
	c := wantAdmitted(t, q, 1, e)[0]
	begin(t, q, "w", c)
	settleAs(t, q, c, nil, Outcome{Status: attune.StatusFailed, Reason: attune.ReasonImageMissing})
	if got := wantEnd(t, q, e.ID, attune.StatusFailed, attune.ReasonImageMissing); got.Usage != nil || got.Outputs != nil {
		t.Errorf("it has %+v and %+v", got.Usage, got.Outputs)
	}
}
