package scheduler

import (
	"log/slog"
	"testing"

	"attune"
	"attune/scheduler/history"
	"attune/storage/storagetest"
)

// setupRecorded is setup with a witness, and the URL for more who use the queue.
func setupRecorded(t *testing.T, actions ...attune.Action) (*Queue, *history.Recorder, string) {
	t.Helper()
	url := storagetest.DatabaseURL(t)
	recorder := history.Start(t, url)
	db := storagetest.ReopenDB(t, url)
	installed(t, db, actions...)
	return NewQueue(db, slog.New(slog.DiscardHandler)), recorder, url
}

// expectGood demands that a history is a good one.
func expectGood(t *testing.T, recorder *history.Recorder) {
	t.Helper()
	all, err := recorder.Transactions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report(t, all, history.Check(all))
}
