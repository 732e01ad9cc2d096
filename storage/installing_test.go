package storage_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
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

// install takes a manifest all the way.
func install(t *testing.T, db *storage.DB, m attune.Manifest, digest string) attune.Installation {
	t.Helper()
	i := pending(t, db, m)
	if got := claim(t, db, "w"); got == nil || got.ID != i.ID {
		t.Fatalf("claimed %+v, want %s", got, i.ID)
	}
	if err := db.Installations.Succeed(t.Context(), i.ID, "w", digest); err != nil {
		t.Fatal(err)
	}
	return i
}

func TestInstallationServes(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx := t.Context()
	made := pending(t, db, manifest("weather", "1.0.0", "forecast", "report"))
	if made.Status != attune.InstallationPending || made.Phase != attune.PhaseQueued || made.Progress != 0 {
		t.Errorf("made %+v", made)
	}
	pack, err := db.Packs.Get(ctx, "weather")
	if err != nil || pack.Version != "" || pack.Label != "weather 1.0.0" {
		t.Errorf("pack is %+v, %v", pack, err)
	}
	claimed, m, err := db.Installations.Claim(ctx, "w")
	if err != nil || claimed == nil {
		t.Fatal(claimed, err)
	}
	if diff := cmp.Diff(manifest("weather", "1.0.0", "forecast", "report"), m); diff != "" {
		t.Errorf("the manifest changed in the database: %s", diff)
	}
	if err := db.Installations.SetPhase(ctx, made.ID, "w", attune.PhaseDependencies); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Installations.Get(ctx, made.ID); err != nil || got.Progress != 30 || got.StartedAt == nil {
		t.Errorf("installation is %+v, %v", got, err)
	}
	if err := db.Installations.Succeed(ctx, made.ID, "w", "sha256:1"); err != nil {
		t.Fatal(err)
	}
	pack, err = db.Packs.Get(ctx, "weather")
	if err != nil || pack.Version != "1.0.0" || pack.ImageDigest != "sha256:1" {
		t.Errorf("pack is %+v, %v", pack, err)
	}
	got, err := db.Installations.Latest(ctx, "weather")
	if err != nil || got.Status != attune.InstallationInstalled || got.Progress != 100 || got.FinishedAt == nil {
		t.Errorf("latest is %+v, %v", got, err)
	}
	policies, err := db.Policies.List(ctx, nil)
	if err != nil || !slices.ContainsFunc(policies, func(p attune.ScopedPolicy) bool {
		return p.Scope == "actions/weather.report" && p.Origin == attune.OriginPack && p.Policy.Concurrency.Limit == 2
	}) {
		t.Errorf("policies are %+v, %v", policies, err)
	}
}

func TestNewVersionKeepsTheIDsOfItsActions(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx := t.Context()
	first := install(t, db, manifest("weather", "1.0.0", "forecast", "report"), "sha256:1")
	before, err := db.Actions.Get(ctx, "weather.forecast")
	if err != nil {
		t.Fatal(err)
	}
	second := manifest("weather", "2.0.0", "forecast", "warn")
	second.Actions[0].Policy = attune.Policy{}
	newer := install(t, db, second, "sha256:2")
	after, err := db.Actions.Get(ctx, before.ID)
	if err != nil {
		t.Fatal(err)
	}
	if after.ID != before.ID || after.Ref != "weather.forecast" || after.InstallationID != newer.ID ||
		after.PackVersion != "2.0.0" || after.ImageDigest != "sha256:2" {
		t.Errorf("the action is %+v", after)
	}
	if string(after.Parameters) != `{"z":1,"a":{"b":2}}` {
		t.Errorf("the schema became %s", after.Parameters)
	}
	_, err = db.Actions.Get(ctx, "weather.report")
	code(t, err, attune.CodeNotFound)
	all, err := db.Actions.List(ctx, "weather", nil)
	if err != nil || len(all) != 2 || all[0].Ref != "weather.forecast" || all[1].Ref != "weather.warn" {
		t.Errorf("actions are %+v, %v", all, err)
	}
	policies, err := db.Policies.List(ctx, nil)
	if err != nil || slices.ContainsFunc(policies, func(p attune.ScopedPolicy) bool { return p.Scope == "actions/weather.forecast" }) {
		t.Errorf("the limit that was taken away is there: %+v, %v", policies, err)
	}
	// Executions of the first version still find their action as it stood.
	if old, err := db.Installations.Action(ctx, first.ID, "weather.report"); err != nil || old.EntryPoint != "report.sh" {
		t.Errorf("the old action is %+v, %v", old, err)
	}
	if digests, err := db.Installations.Digests(ctx); err != nil || fmt.Sprint(digests) != "[sha256:2]" {
		t.Errorf("digests are %v, %v", digests, err)
	}
	_, sha, err := db.Installations.Archive(ctx, "weather", "1.0.0")
	if err != nil || sha != archive {
		t.Errorf("the archive is %s, %v", sha, err)
	}
}

func TestOlderInstallationDoesNotReplaceANewerOne(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx := t.Context()
	older := pending(t, db, manifest("weather", "1.0.0", "forecast"))
	if _, err := db.Pool().Exec(ctx, `update installations set created_at = created_at + interval '1 hour' where id = $1`, older.ID); err != nil {
		t.Fatal(err)
	}
	// As if it had been created later: now the next one is the older.
	install(t, db, manifest("weather", "2.0.0", "warn"), "sha256:2")
	if got := claim(t, db, "w"); got == nil || got.ID != older.ID {
		t.Fatalf("claimed %+v", got)
	}
	if err := db.Installations.Succeed(ctx, older.ID, "w", "sha256:1"); err != nil {
		t.Fatal(err)
	}
	late := pending(t, db, manifest("weather", "3.0.0", "late"))
	if got := claim(t, db, "w"); got == nil || got.ID != late.ID {
		t.Fatalf("claimed %+v", got)
	}
	if err := db.Installations.Succeed(ctx, late.ID, "w", "sha256:3"); err != nil {
		t.Fatal(err)
	}
	if pack, err := db.Packs.Get(ctx, "weather"); err != nil || pack.Version != "1.0.0" {
		t.Errorf("%s serves, %v", pack.Version, err)
	}
	if got, err := db.Installations.Get(ctx, late.ID); err != nil || got.Status != attune.InstallationInstalled {
		t.Errorf("the late one is %+v, %v", got, err)
	}
}

func TestFailedInstallationChangesNothing(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx := t.Context()
	install(t, db, manifest("weather", "1.0.0", "forecast"), "sha256:1")
	bad := pending(t, db, manifest("weather", "2.0.0", "warn"))
	claim(t, db, "w")
	if err := db.Installations.Fail(ctx, bad.ID, "w", "no such \x00 package \xff"); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Installations.Get(ctx, bad.ID); err != nil || got.Error != "no such \uFFFD package \uFFFD" || got.Status != attune.InstallationFailed {
		t.Errorf("installation is %+v, %v", got, err)
	}
	if pack, err := db.Packs.Get(ctx, "weather"); err != nil || pack.Version != "1.0.0" {
		t.Errorf("%s serves, %v", pack.Version, err)
	}
	code(t, db.Installations.Succeed(ctx, bad.ID, "w", "sha256:2"), attune.CodeNotFound)
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
	if err := db.Workers.Register(ctx, storage.Life{Name: "w1", ID: uuid.NewString(), Capacity: 1}); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, db, "w2"); got != nil {
		t.Fatalf("stolen from a living worker: %+v", got)
	}
	expire(t, db, "w1")
	if got := claim(t, db, "w2"); got == nil || got.ID != made.ID {
		t.Fatalf("claimed %+v from a dead worker", got)
	}
	code(t, db.Installations.SetPhase(ctx, made.ID, "w1", attune.PhaseBase), attune.CodeNotFound)
	code(t, db.Installations.Succeed(ctx, made.ID, "w1", "sha256:1"), attune.CodeNotFound)
	if err := db.Installations.Succeed(ctx, made.ID, "w2", "sha256:2"); err != nil {
		t.Fatal(err)
	}
}

func TestRemovedPackTakesItsInstallationsAlong(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx := t.Context()
	made := install(t, db, manifest("weather", "1.0.0", "a"), "sha256:1")
	install(t, db, manifest("traffic", "1.0.0", "a"), "sha256:2")
	// The scheduler does this, after it has ended what waits.
	if _, err := db.Pool().Exec(ctx, `delete from packs where ref = 'weather'`); err != nil {
		t.Fatal(err)
	}
	_, err := db.Installations.Get(ctx, made.ID)
	code(t, err, attune.CodeNotFound)
	_, err = db.Installations.Latest(ctx, "weather")
	code(t, err, attune.CodeNotFound)
	_, err = db.Installations.Get(ctx, "no id at all")
	code(t, err, attune.CodeNotFound)
	packs, err := db.Packs.List(ctx, nil)
	if err != nil || len(packs) != 1 {
		t.Errorf("packs are %v, %v", packs, err)
	}
	packs, err = db.Packs.List(ctx, []string{"weather"})
	if err != nil || packs == nil || len(packs) != 0 {
		t.Errorf("a token limited to a pack sees %v, %v", packs, err)
	}
	actions, err := db.Actions.List(ctx, "", []string{"traffic"})
	if err != nil || len(actions) != 1 {
		t.Errorf("a token limited to a pack sees %v, %v", actions, err)
	}
}
