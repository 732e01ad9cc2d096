package storage_test

import (
	"testing"

	"attune"
	"attune/storage"
	"attune/storage/storagetest"
)

// TestListsAreBounded: a list has connections of its own, few, and a time.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	for suffix, want := range map[string]string{"": "5s", "&statement_timeout=7s": "7s"} {
		db, err := storage.Open(t.Context(), storagetest.DatabaseURL(t)+suffix, storagetest.Sealer(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		var got string
		if err := db.Lists().QueryRow(t.Context(), "show statement_timeout").Scan(&got); err != nil || got != want {
			t.Errorf("a list takes %s at most, %v; want %s", got, err, want)
		}
		if n := db.Lists().Config().MaxConns; n != 4 {
			t.Errorf("lists have %d connections", n)
		}
	}
	db := storagetest.OpenDB(t)
	tx, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "lock table finished in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	_, _, err = db.Executions.List(t.Context(), storage.ExecutionFilter{})
	if attune.CodeOf(err) != attune.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
}
