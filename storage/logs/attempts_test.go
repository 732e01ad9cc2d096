package logs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"attune"
	"attune/storage/logs"
	"attune/storage/storagetest"
)

func createAttempt(t *testing.T, store *logs.Store, attempt int) *logs.Writer {
	t.Helper()
	return createAttemptOf(t, store, attempt, "stdout")
}

func createAttemptOf(t *testing.T, store *logs.Store, attempt int, stream string) *logs.Writer {
	t.Helper()
	w, err := store.CreateAttempt(prefix, attempt, stream, 0)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// closeAttempt ends and stores an attempt that will be tried again.
func closeAttempt(ctx context.Context, w *logs.Writer, attempt int) (logs.Summary, error) {
	summary, err := w.End(logs.AttemptPrefix(prefix, attempt))
	return summary, errors.Join(err, w.Upload(ctx))
}

// wantKeys waits until these objects and no others are there.
func wantKeys(t *testing.T, b storagetest.Bucket, keys ...string) {
	t.Helper()
	want := fmt.Sprint(keys)
	eventually(t, "the bucket has "+want, func() bool { return fmt.Sprint(b.Keys(prefix)) == want })
}

func wantPage(t *testing.T, store *logs.Store, prefix, want string, running bool) {
	t.Helper()
	page, err := store.Page(t.Context(), prefix, "stdout", 0, 0, running)
	if err != nil || page.Content != want {
		t.Errorf("the page of %s is %+v, %v, want %q", prefix, page, err, want)
	}
}

// unavailable ends a stream while S3 is away.
func unavailable(t *testing.T, closing func(context.Context) (logs.Summary, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := closing(ctx); attune.CodeOf(err) != attune.CodeUnavailable {
		t.Fatalf("close says %v", err)
	}
}

// reborn is the next process, after a crash: it has a copy of what is in the spool, as it stands.
func reborn(t *testing.T, spool string, b storagetest.Bucket) (*logs.Store, string) {
	t.Helper()
	config := storagetest.S3Config(t)
	config.LogBucket = b.Name
	store, next, _ := openLogsAt(t, config, b)
	if err := os.CopyFS(next, os.DirFS(spool)); err != nil {
		t.Fatal(err)
	}
	return store, next
}

func recovered(t *testing.T, store *logs.Store, spool string) {
	t.Helper()
	if err := store.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := spooled(t, spool); n != 0 {
		t.Errorf("%d files are left in the spool", n)
	}
}

func TestLastAttemptIsAtTheTop(t *testing.T) {
	t.Parallel()
	store, spool, b := openLogs(t)
	other := otherProcess(t, b)
	w := createAttempt(t, store, 1)
	write(t, w, "first")
	wantKeys(t, b, "stdout/00000000000000000000.log")
	summary, err := closeAttempt(t.Context(), w, 1)
	if err != nil || summary.Size != 5 {
		t.Fatalf("closed with %+v, %v", summary, err)
	}
	wantKeys(t, b, "attempt-1/stdout.log")
	wantPage(t, other, prefix, "", true)

	w = createAttempt(t, store, 2)
	write(t, w, "second")
	wantKeys(t, b, "attempt-1/stdout.log", "attempt-2/stdout/00000000000000000000.log")
	wantPage(t, store, prefix, "second", true)
	wantPage(t, other, prefix, "second", true)
	if _, err := closeAttempt(t.Context(), w, 2); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, b, "attempt-1/stdout.log", "attempt-2/stdout.log")

	w = createAttempt(t, store, 10)
	write(t, w, "last")
	wantKeys(t, b, "attempt-1/stdout.log", "attempt-10/stdout/00000000000000000000.log", "attempt-2/stdout.log")
	wantPage(t, other, prefix, "last", true)
	if _, err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, b, "attempt-1/stdout.log", "attempt-2/stdout.log", "stdout.log")
	wantPage(t, other, prefix, "last", false)
	wantPage(t, other, logs.AttemptPrefix(prefix, 1), "first", false)
	wantPage(t, other, logs.AttemptPrefix(prefix, 2), "second", false)
	if n := spooled(t, spool); n != 0 {
		t.Errorf("%d files are left in the spool", n)
	}
}

// The log of an attempt that waits for S3 gets there while the next one runs, and leaves what that one has alone.
func TestEarlierAttemptIsStoredLate(t *testing.T) {
	t.Parallel()
	store, spool, b, p := openBehindProxy(t)
	w := createAttempt(t, store, 1)
	write(t, w, "first")
	wantKeys(t, b, "stdout/00000000000000000000.log")
	p.Cut()
	unavailable(t, func(ctx context.Context) (logs.Summary, error) {
		return closeAttempt(ctx, w, 1)
	})
	// The process dies here. What comes after it knows the target from the spool alone.
	next, left := reborn(t, spool, b)
	p.Open()

	second := createAttempt(t, store, 2)
	write(t, second, "second")
	wantKeys(t, b, "attempt-2/stdout/00000000000000000000.log", "stdout/00000000000000000000.log")
	wantPage(t, otherProcess(t, b), prefix, "second", true)
	recovered(t, next, left)
	wantKeys(t, b, "attempt-1/stdout.log", "attempt-2/stdout/00000000000000000000.log")

	p.Cut()
	unavailable(t, second.Close)
	p.Open()
	recovered(t, store, spool) // of the process that did not die; the first attempt is stored once more
	wantKeys(t, b, "attempt-1/stdout.log", "stdout.log")
	firstLog, lastLog := b.Read(prefix+"attempt-1/stdout.log"), b.Read(prefix+"stdout.log")
	if string(firstLog) != "first" || string(lastLog) != "second" {
		t.Errorf("stored %q and %q", firstLog, lastLog)
	}
}

func TestRecoverAnAttemptAfterACrash(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		again bool
		want  string
	}{
		"the last one":    {false, "stdout.log"},
		"one tried again": {true, "attempt-2/stdout.log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, spool, b := openLogs(t)
			w := createAttempt(t, store, 2)
			write(t, w, "before the crash")
			wantKeys(t, b, "attempt-2/stdout/00000000000000000000.log")
			next, left := reborn(t, spool, b)
			if err := next.KeepAttempt(prefix, 1); err != nil { // there is nothing of it
				t.Fatal(err)
			}
			if test.again {
				if err := next.KeepAttempt(prefix, 2); err != nil {
					t.Fatal(err)
				}
			}
			recovered(t, next, left)
			wantKeys(t, b, test.want)
			if got := string(b.Read(prefix + test.want)); got != "before the crash" {
				t.Errorf("stored %q", got)
			}
			// A stream that is being written is left alone.
			if err := store.KeepAttempt(prefix, 2); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := string(b.Read(prefix + "stdout.log")); got != "before the crash" {
				t.Errorf("the open stream went elsewhere: %v", b.Keys(prefix))
			}
		})
	}
}

// TestDropAnAttempt: of an attempt that begins once more, nothing is stored; others keep what is theirs.
func TestDropAnAttempt(t *testing.T) {
	t.Parallel()
	store, spool, b := openLogs(t)
	first, second := createAttempt(t, store, 1), createAttemptOf(t, store, 2, "stderr")
	write(t, first, "of the first")
	write(t, second, "of the second")
	for _, prefix := range []string{logs.AttemptPrefix(prefix, 1), prefix} {
		document, err := store.SpoolResult(prefix, []byte("1"))
		if err != nil {
			t.Fatal(err)
		}
		document.Leave()
	}
	if err := errors.Join(first.Leave(), second.Leave()); err != nil {
		t.Fatal(err)
	}
	if err := store.DropAttempt(prefix, 2); err != nil {
		t.Fatal(err)
	}
	recovered(t, store, spool)
	wantKeys(t, b, "attempt-1/result.json", "stdout.log")
}

// A version that knew no attempts has left a spool file and a segment.
func TestRecoverASpoolOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	store, spool, b := openLogs(t)
	header, err := json.Marshal(map[string]any{"prefix": prefix, "stream": "stdout", "cap": 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	content := string(header) + strings.Repeat(" ", 1<<10-len(header)) + "old"
	if err := os.WriteFile(filepath.Join(spool, "a.spool"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	segment := prefix + "stdout/00000000000000000000.log"
	_, err = b.Client.PutObject(t.Context(), b.Name, segment, strings.NewReader("old"), 3, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	recovered(t, store, spool)
	wantKeys(t, b, "stdout.log")
	if got := string(b.Read(prefix + "stdout.log")); got != "old" {
		t.Errorf("stored %q", got)
	}
}
