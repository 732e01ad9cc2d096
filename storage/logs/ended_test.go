package logs_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"attune/storage/logs"
)

func TestEndedStreamIsReadWholeBeforeItIsStored(t *testing.T) {
	t.Parallel()
	store, spool, b := openLogs(t)
	other := otherProcess(t, b)
	w, err := store.Create(prefix, "stdout", 4)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("a", 70<<10)
	write(t, w, text)
	summary, err := w.End(prefix)
	if err != nil || !summary.Truncated || summary.Total != int64(len(text)) {
		t.Fatalf("ended with %+v, %v", summary, err)
	}
	page, err := store.Page(t.Context(), prefix, "stdout", 0, 1<<20, false)
	if err != nil || page.TotalSize != summary.Size || !page.Truncated ||
		!strings.HasPrefix(page.Content, "aaaa\n[TRUNCATED: ") {
		t.Errorf("here it reads %d bytes of %d, truncated %t: %.60q, %v",
			len(page.Content), page.TotalSize, page.Truncated, page.Content, err)
	}

	// Another process waits until it is stored, or has waited long enough.
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	other.AwaitStored(short, prefix, "stdout")
	stored := make(chan error)
	go func() { stored <- w.Upload(t.Context()) }()
	other.AwaitStored(t.Context(), prefix, "stdout")
	there, err := other.Page(t.Context(), prefix, "stdout", 0, 1<<20, false)
	if err != nil || there != page {
		t.Errorf("elsewhere it reads %d bytes of %d, %v", len(there.Content), there.TotalSize, err)
	}
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
	if n := spooled(t, spool); n != 0 {
		t.Errorf("%d files are left in the spool", n)
	}
}

// Between the end of a stream and its storing, the process dies.
func TestEndedStreamIsRecovered(t *testing.T) {
	t.Parallel()
	store, spool, b := openLogs(t)
	w := createAttempt(t, store, 1)
	write(t, w, "first")
	wantKeys(t, b, "stdout/00000000000000000000.log") // from here on it sends none
	again := logs.AttemptPrefix(prefix, 1)
	if _, err := w.End(again); err != nil {
		t.Fatal(err)
	}
	manifest, err := store.SpoolManifest(again, logs.Manifest{Execution: "e"})
	if err != nil {
		t.Fatal(err)
	}
	// The next attempt is read at the execution's prefix, the first one already at its own.
	second := createAttempt(t, store, 2)
	write(t, second, "second")
	wantPage(t, store, prefix, "second", true)
	wantPage(t, store, again, "first", false)
	if _, err := second.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	next, left := reborn(t, spool, b)
	recovered(t, next, left)
	wantPage(t, next, again, "first", false)
	wantKeys(t, b, "attempt-1/manifest.json", "attempt-1/stdout.log", "stdout.log")
	manifest.Leave()
	if err := w.Upload(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Between the end of a stream and the record of its outcome, the process dies, and the next one decides otherwise about
// trying again.
func TestEndedStreamIsResumedToAnotherPlace(t *testing.T) {
	t.Parallel()
	store, spool, b := openLogs(t)
	w := createAttempt(t, store, 1)
	write(t, w, "only")
	wantKeys(t, b, "stdout/00000000000000000000.log")
	again := logs.AttemptPrefix(prefix, 1)
	if _, err := w.End(again); err != nil {
		t.Fatal(err)
	}
	manifest, err := store.SpoolManifest(again, logs.Manifest{Execution: "e"})
	if err != nil {
		t.Fatal(err)
	}
	next, left := reborn(t, spool, b)
	resumed, err := next.Resume(prefix, 1, "stdout", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resumed.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	recovered(t, next, left)
	wantKeys(t, b, "stdout.log")
	manifest.Leave()
	if err := w.Upload(t.Context()); err != nil { // for the test alone: its process is dead
		t.Fatal(err)
	}
}
