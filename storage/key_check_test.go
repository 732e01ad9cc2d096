package storage_test

import (
	"testing"

	"attune"
	"attune/storage"
	"attune/storage/storagetest"
)

func TestAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	url, sealer := storagetest.DatabaseURL(t), storagetest.Sealer(t)
	open := func(sealer *storage.Sealer) *storage.DB {
		db, err := storage.Open(t.Context(), url, sealer)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		return db
	}
	for range 2 {
		if err := open(sealer).CheckKey(t.Context()); err != nil {
			t.Fatalf("the key that came first: %v", err)
		}
	}
	if err := open(storagetest.Sealer(t)).CheckKey(t.Context()); attune.CodeOf(err) != attune.CodeConflict {
		t.Errorf("another key: %v, want a conflict", err)
	}
}
