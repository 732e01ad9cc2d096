package scheduler

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"attune"
	"attune/storage"
	"attune/storage/storagetest"
)

var archive = strings.Repeat("a", 64)

// version is a version of a pack whose actions have a limit of 2.
func version(ref, version string, actions ...string) attune.Manifest {
	m := attune.Manifest{Ref: ref, Version: version, Label: ref + " " + version, Tags: []string{"t"}}
	for _, name := range actions {
		m.Actions = append(m.Actions, attune.Action{
			Ref: ref + "." + name, Pack: ref, RunnerType: attune.RunnerShell, EntryPoint: name + ".sh",
			Parameters: json.RawMessage(`{"z":1,"a":{"b":2}}`), Network: attune.NetworkNone, TimeoutSeconds: 1,
			Policy: concurrency(2),
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

func claimInstallation(t *testing.T, db *storage.DB) *attune.Installation {
	t.Helper()
	i, _, err := db.Installations.Claim(t.Context(), "w")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// activated is a version that serves.
func activated(t *testing.T, q *Queue, m attune.Manifest, digest string) attune.Installation {
	t.Helper()
	i := pending(t, q.db, m)
	if got := claimInstallation(t, q.db); got == nil || got.ID != i.ID {
		t.Fatalf("claimed %+v, want %s", got, i.ID)
	}
	if err := q.Activate(t.Context(), i.ID, "w", digest); err != nil {
		t.Fatal(err)
	}
	return i
}

func TestInstallationServes(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	q := NewQueue(db, slog.New(slog.DiscardHandler))
	ctx := t.Context()
	made := pending(t, db, version("weather", "1.0.0", "forecast", "report"))
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
	if diff := cmp.Diff(version("weather", "1.0.0", "forecast", "report"), m); diff != "" {
		t.Errorf("the manifest changed in the database: %s", diff)
	}
	if err := db.Installations.SetPhase(ctx, made.ID, "w", attune.PhaseDependencies); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Installations.Get(ctx, made.ID); err != nil || got.Progress != 30 || got.StartedAt == nil {
		t.Errorf("installation is %+v, %v", got, err)
	}
	if err := q.Activate(ctx, made.ID, "w", "sha256:1"); err != nil {
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
	q := NewQueue(db, slog.New(slog.DiscardHandler))
	ctx := t.Context()
	first := activated(t, q, version("weather", "1.0.0", "forecast", "report"), "sha256:1")
	before, err := db.Actions.Get(ctx, "weather.forecast")
	if err != nil {
		t.Fatal(err)
	}
	second := version("weather", "2.0.0", "forecast", "warn")
	second.Actions[0].Policy = attune.Policy{}
	newer := activated(t, q, second, "sha256:2")
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
	wantCode(t, err, attune.CodeNotFound)
	all, _, err := db.Actions.List(ctx, "weather", nil, "")
	if err != nil || len(all) != 2 || all[0].Ref != "weather.forecast" || all[1].Ref != "weather.warn" {
		t.Errorf("actions are %+v, %v", all, err)
	}
	policies, err := db.Policies.List(ctx, nil)
	if err != nil || slices.ContainsFunc(policies,
		func(p attune.ScopedPolicy) bool { return p.Scope == "actions/weather.forecast" }) {
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
	q := NewQueue(db, slog.New(slog.DiscardHandler))
	ctx := t.Context()
	older := pending(t, db, version("weather", "1.0.0", "forecast"))
	if _, err := db.Pool().Exec(ctx, `update installations set created_at = created_at + interval '1 hour' where id = $1`,
		older.ID); err != nil {
		t.Fatal(err)
	}
	// As if it had been created later: now the next one is the older.
	activated(t, q, version("weather", "2.0.0", "warn"), "sha256:2")
	if got := claimInstallation(t, db); got == nil || got.ID != older.ID {
		t.Fatalf("claimed %+v", got)
	}
	if err := q.Activate(ctx, older.ID, "w", "sha256:1"); err != nil {
		t.Fatal(err)
	}
	late := pending(t, db, version("weather", "3.0.0", "late"))
	if got := claimInstallation(t, db); got == nil || got.ID != late.ID {
		t.Fatalf("claimed %+v", got)
	}
	if err := q.Activate(ctx, late.ID, "w", "sha256:3"); err != nil {
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
	q := NewQueue(db, slog.New(slog.DiscardHandler))
	ctx := t.Context()
	activated(t, q, version("weather", "1.0.0", "forecast"), "sha256:1")
	bad := pending(t, db, version("weather", "2.0.0", "warn"))
	claimInstallation(t, db)
	if err := db.Installations.Fail(ctx, bad.ID, "w", "no such \x00 package \xff"); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Installations.Get(ctx, bad.ID); err != nil || got.Error != "no such \uFFFD package \uFFFD" ||
		got.Status != attune.InstallationFailed {
		t.Errorf("installation is %+v, %v", got, err)
	}
	if pack, err := db.Packs.Get(ctx, "weather"); err != nil || pack.Version != "1.0.0" {
		t.Errorf("%s serves, %v", pack.Version, err)
	}
	wantCode(t, q.Activate(ctx, bad.ID, "w", "sha256:2"), attune.CodeNotFound)
}

func TestRemovedPackTakesItsInstallationsAlong(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	q := NewQueue(db, slog.New(slog.DiscardHandler))
	ctx := t.Context()
	made := activated(t, q, version("weather", "1.0.0", "a"), "sha256:1")
	activated(t, q, version("traffic", "1.0.0", "a"), "sha256:2")
	if err := q.RemovePack(ctx, "weather"); err != nil {
		t.Fatal(err)
	}
	_, err := db.Installations.Get(ctx, made.ID)
	wantCode(t, err, attune.CodeNotFound)
	_, err = db.Installations.Latest(ctx, "weather")
	wantCode(t, err, attune.CodeNotFound)
	_, err = db.Installations.Get(ctx, "no id at all")
	wantCode(t, err, attune.CodeNotFound)
	packs, err := db.Packs.List(ctx, nil)
	if err != nil || len(packs) != 1 {
		t.Errorf("packs are %v, %v", packs, err)
	}
	packs, err = db.Packs.List(ctx, []string{"weather"})
	if err != nil || packs == nil || len(packs) != 0 {
		t.Errorf("a token limited to a pack sees %v, %v", packs, err)
	}
	actions, _, err := db.Actions.List(ctx, "", []string{"traffic"}, "")
	if err != nil || len(actions) != 1 {
		t.Errorf("a token limited to a pack sees %v, %v", actions, err)
	}
}

func TestOnlyTheWorkerThatHoldsAnInstallationActivatesIt(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	q := NewQueue(db, slog.New(slog.DiscardHandler))
	made := pending(t, db, version("weather", "1.0.0", "a"))
	claimInstallation(t, db)
	wantCode(t, q.Activate(t.Context(), made.ID, "another", "sha256:1"), attune.CodeNotFound)
	if _, err := db.Actions.Get(t.Context(), "weather.a"); attune.CodeOf(err) != attune.CodeNotFound {
		t.Errorf("its action is there: %v", err)
	}
	if err := q.Activate(t.Context(), made.ID, "w", "sha256:2"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, q.Activate(t.Context(), made.ID, "w", "sha256:2"), attune.CodeNotFound)
}
