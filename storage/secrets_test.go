package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"attune"
	"attune/storage"
	"attune/storage/storagetest"
)

func set(t *testing.T, db *storage.DB, name string, scope attune.Scope, value string) {
	t.Helper()
	if err := db.Secrets.Set(t.Context(), name, scope, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func TestMostSpecificSecretWins(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx := t.Context()
	set(t, db, "key", attune.Scope{}, "global")
	set(t, db, "key", attune.Scope{Pack: "weather"}, "pack")
	set(t, db, "key", attune.Scope{Action: "weather.forecast"}, "action")
	set(t, db, "other", attune.Scope{Pack: "traffic"}, "not for weather")
	for action, want := range map[string]string{
		"weather.forecast": "action", "weather.report": "pack", "traffic.jam": "global",
	} {
		values, missing, err := db.Secrets.Resolve(ctx, action, []string{"absent", "key"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"key": want}, values); diff != "" || fmt.Sprint(missing) != "[absent]" {
			t.Errorf("%s: missing %v, %s", action, missing, diff)
		}
	}
	missing, err := db.Secrets.Missing(ctx, "weather.report", []string{"other", "key"})
	if err != nil || fmt.Sprint(missing) != "[other]" {
		t.Errorf("missing are %v, %v", missing, err)
	}
	set(t, db, "key", attune.Scope{}, "changed")
	values, _, err := db.Secrets.Resolve(ctx, "traffic.jam", []string{"key"})
	if err != nil || values["key"] != "changed" {
		t.Errorf("resolved %v, %v", values, err)
	}
	if err := db.Secrets.Delete(ctx, "key", attune.Scope{Action: "weather.forecast"}); err != nil {
		t.Fatal(err)
	}
	code(t, db.Secrets.Delete(ctx, "key", attune.Scope{Action: "weather.forecast"}), attune.CodeNotFound)
	values, _, err = db.Secrets.Resolve(ctx, "weather.forecast", []string{"key"})
	if err != nil || values["key"] != "pack" {
		t.Errorf("resolved %v, %v", values, err)
	}
}

func TestSecretListing(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	set(t, db, "g", attune.Scope{}, "1")
	set(t, db, "p", attune.Scope{Pack: "weather"}, "2")
	set(t, db, "a", attune.Scope{Action: "weather.forecast"}, "3")
	set(t, db, "o", attune.Scope{Pack: "traffic"}, "4")
	for want, filter := range map[string]storage.SecretFilter{
		"a g o p": {}, "a p": {Pack: "weather"}, "a": {Action: "weather.forecast"}, "a g p": {Allowed: []string{"weather"}},
	} {
		found, err := db.Secrets.List(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range found {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%+v lists %q, want %q", filter, got, want)
		}
	}
}

func TestSealedSecretIsBoundToItsPlace(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx := t.Context()
	const canary = "canary-7f3a"
	set(t, db, "mine", attune.Scope{Pack: "weather"}, canary)
	set(t, db, "theirs", attune.Scope{Pack: "traffic"}, "x")
	var dump string
	const all = `select string_agg(encode(sealed, 'escape'), ' ') from secrets`
	if err := db.Pool().QueryRow(ctx, all).Scan(&dump); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(dump, canary) {
		t.Error("the value is in the database")
	}
	// An attacker who can write to the database moves the value to a row that he can read.
	const move = `update secrets set sealed = (select sealed from secrets where name = 'mine')`
	if _, err := db.Pool().Exec(ctx, move); err != nil {
		t.Fatal(err)
	}
	if values, _, err := db.Secrets.Resolve(ctx, "traffic.jam", []string{"theirs"}); err == nil {
		t.Errorf("resolved %v", values)
	}
	values, _, err := db.Secrets.Resolve(ctx, "weather.forecast", []string{"mine"})
	if err != nil || values["mine"] != canary {
		t.Errorf("resolved %v, %v", values, err)
	}
}

func TestSecretThatCannotBeStored(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	for field, c := range map[string]struct {
		name  string
		scope attune.Scope
		value string
	}{
		"name":   {"1st", attune.Scope{}, "x"},
		"pack":   {"a", attune.Scope{Pack: "Bad Pack"}, "x"},
		"action": {"a", attune.Scope{Action: "nodot"}, "x"},
		"value":  {"a", attune.Scope{}, "\xff"},
	} {
		err := db.Secrets.Set(t.Context(), c.name, c.scope, []byte(c.value))
		code(t, err, attune.CodeInvalid)
		if !strings.Contains(err.Error(), "; "+field+": ") {
			t.Errorf("%s is not named: %v", field, err)
		}
	}
	long := make([]byte, attune.MaxSecretBytes+1)
	code(t, db.Secrets.Set(t.Context(), "a", attune.Scope{}, long), attune.CodeInvalid)
	code(t, db.Secrets.Set(t.Context(), "a", attune.Scope{Pack: "p", Action: "p.a"}, nil), attune.CodeInvalid)
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.json")
	if err := storage.CreateKeyFile(path); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := storage.CreateKeyFile(path); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(path); err != nil || string(second) != string(first) {
		t.Errorf("the key was replaced, %v", err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("left are %v, %v", files, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.NewSealer(path); err == nil {
		t.Error("a key that others can read was taken")
	}
}
