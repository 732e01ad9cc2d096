package storage_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"attune"
	"attune/storage"
	"attune/storage/storagetest"
)

var archive = strings.Repeat("a", 64)

func manifest(ref, version string, actions ...string) attune.Manifest {
	m := attune.Manifest{Ref: ref, Version: version, Label: ref + " " + version, Tags: []string{"t"}}
	for _, name := range actions {
		m.Actions = append(m.Actions, attune.Action{
			Ref: ref + "." + name, Pack: ref, RunnerType: attune.RunnerShell, EntryPoint: name + ".sh",
			Parameters: json.RawMessage(`{"z":1,"a":{"b":2}}`), Network: attune.NetworkNone, TimeoutSeconds: 1,
			Policy: attune.Policy{Concurrency: &attune.Concurrency{Limit: 2}},
		})
	}
	return m
}

func pending(t *testing.T, db *storage.DB, m attune.Manifest) attune.Installation {
	t.Helper()
	i, err := db.Installations.Create(t.Context(), m, archive)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func claim(t *testing.T, db *storage.DB, worker string) *attune.Installation {
	t.Helper()
	i, _, err := db.Installations.Claim(t.Context(), worker)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestOneInstallationOfAPackAtATime(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx := t.Context()
	first := pending(t, db, manifest("weather", "1.0.0", "a"))
	second := pending(t, db, manifest("weather", "2.0.0", "a"))
	other := pending(t, db, manifest("traffic", "1.0.0", "a"))
	claimed := make(chan string, 20)
	var group errgroup.Group
	for n := range cap(claimed) {
		group.Go(func() error {
			i, _, err := db.Installations.Claim(ctx, fmt.Sprint("w", n))
			if i != nil {
				claimed <- i.ID
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	close(claimed)
	got := map[string]bool{}
	for id := range claimed {
		if got[id] {
			t.Errorf("%s was claimed twice", id)
		}
		got[id] = true
	}
	if !got[first.ID] || got[second.ID] || !got[other.ID] {
		t.Errorf("claimed were %v of %s, %s, %s", got, first.ID, second.ID, other.ID)
	}
}

func TestLostInstallationsAreBuiltAgain(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx := t.Context()
	made := pending(t, db, manifest("weather", "1.0.0", "a"))
	claim(t, db, "w1")
	if got := claim(t, db, "w2"); got != nil {
		t.Fatalf("stolen from an unknown worker: %+v", got)
	}
	// A worker that starts gives back its own.
	if err := db.Installations.ResetLost(ctx, "w1"); err != nil {
		t.Fatal(err)
	}
	claim(t, db, "w1")
	// While its lease holds it keeps what it has.
	register(t, db, "w1", 1)
	if got := claim(t, db, "w2"); got != nil {
		t.Fatalf("stolen from a living worker: %+v", got)
	}
	expire(t, db, "w1")
	if got := claim(t, db, "w2"); got == nil || got.ID != made.ID {
		t.Fatalf("claimed %+v from a dead worker", got)
	}
	code(t, db.Installations.SetPhase(ctx, made.ID, "w1", attune.PhaseBase), attune.CodeNotFound)
	code(t, db.Installations.Fail(ctx, made.ID, "w1", "it failed"), attune.CodeNotFound)
	if err := db.Installations.SetPhase(ctx, made.ID, "w2", attune.PhaseBase); err != nil {
		t.Fatal(err)
	}
}
