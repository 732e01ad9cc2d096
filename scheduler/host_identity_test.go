package scheduler

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"attune"
)

// TestClonedDataFolder: of two hosts with one name, the second may have it only when the first cannot run anything any
// more.
func TestClonedDataFolder(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0))
	life := func(host string) workerLife {
		return workerLife{Name: "clone", ID: uuid.NewString(), Host: host, Capacity: 2}
	}
	register := func(host, want string) workerLife {
		t.Helper()
		l := life(host)
		err := q.register(t.Context(), l)
		if want == "" && err != nil || want != "" && (attune.CodeOf(err) != attune.CodeConflict ||
			!strings.Contains(err.Error(), want)) {
			t.Fatalf("on host %q: %v, want %q", host, err, want)
		}
		return l
	}
	loseLease := func() {
		t.Helper()
		execute(t, q, `update workers set lease_expires_at = clock_timestamp() - interval '1 second' where name = 'clone'`)
	}
	register("", "") // of a version that did not say
	register("one", "")
	first := register("one", "") // started again
	register("two", "alive on another host")
	if err := q.heartbeat(t.Context(), first); err != nil {
		t.Errorf("the first has lost its name: %v", err)
	}

	e := submit(t, q, "ops.a")
	if claims := admitAs(t, q, first, 1); len(claims) != 1 || claims[0].ID != e.ID {
		t.Fatalf("it took %v", ids(claims))
	}
	loseLease()
	register("two", "attune worker forget clone")
	if err := q.Forget(t.Context(), "clone"); err != nil {
		t.Fatal(err)
	}
	register("two", "")

	// A folder that was moved while nothing ran needs nobody.
	loseLease()
	register("three", "")
}
