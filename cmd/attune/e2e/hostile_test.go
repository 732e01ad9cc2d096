package e2e

import (
	"testing"

	"attune"
)

// hostileResults: results that take gigabytes when they are read in the usual way leave the service below one, and it
// goes on. It comes after the other parts, since it looks at the memory of the whole process.
func hostileResults(t *testing.T, s *service) {
	const forms = "output_schema:\n  anyOf:\n" +
		"  - {type: array, items: {type: string}}\n  - {type: array, items: {type: boolean}}\n" +
		"  - {type: array, items: {type: object}}\n  - {type: array, items: {type: array}}\n" +
		"  - {type: array, items: {type: 'null'}}\nresources: {memory: 256Mi}\n"
	zeros := func(bytes string) string {
		return "{ printf '['; yes '0,' | tr -d '\\n' | head -c " + bytes + "; printf '0]'; } >$ATTUNE_RESULT\n"
	}
	s.install(t, files{
		"pack.yaml":           "ref: hostile\nversion: 1.0.0\n",
		"actions/many.yaml":   "ref: many\nentry_point: many.sh\n" + forms,
		"actions/many.sh":     zeros("3999990"),
		"actions/most.yaml":   "ref: most\nentry_point: most.sh\n" + forms,
		"actions/most.sh":     zeros("16777200"),
		"actions/forms.yaml":  "ref: forms\nentry_point: forms.sh\n" + forms,
		"actions/forms.sh":    zeros("1000000"),
		"actions/honest.yaml": "ref: honest\nentry_point: honest.sh\n",
		"actions/honest.sh":   zeros("1000000"),
	})
	var all []attune.Execution
	for range 3 {
		for _, action := range []string{"many", "most", "forms"} {
			all = append(all, s.submit(t, "hostile."+action, nil))
		}
	}
	for _, e := range all {
		if e = s.await(t, e.ID, over); e.Reason != attune.ReasonInvalidResult || e.Failure == nil ||
			len(e.Failure.Error) > attune.MaxErrorBytes {
			t.Errorf("%s ended as %s for %s with %+v", e.Action, e.Status, e.Reason, e.Failure)
		}
	}
	if e := s.await(t, s.submit(t, "hostile.honest", nil).ID, over); e.Status != attune.StatusCompleted {
		t.Errorf("an honest result ended as %s for %s: %+v", e.Status, e.Reason, e.Failure)
	}
	if peak := memoryMiB(t, s.process.Pid, "VmHWM:"); peak > 1024 {
		t.Errorf("the service took %d MiB", peak)
	} else {
		t.Logf("the service took %d MiB at most", peak)
	}
}
