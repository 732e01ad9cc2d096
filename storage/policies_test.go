package storage_test

import (
	"testing"

	"attune/storage"
)

func TestScopeName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "global", "ops": "packs/ops", "ops.a": "actions/ops.a"} {
		if got := storage.ScopeName(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
