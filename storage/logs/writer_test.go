package logs_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"attune"
	"attune/storage/logs"
	"attune/storage/s3"
	"attune/storage/storagetest"
)

const prefix = "executions/weather/forecast/2030/01/02/id/"

func openLogs(t *testing.T) (*logs.Store, string, storagetest.Bucket) {
	t.Helper()
	config := storagetest.S3Config(t)
	return openLogsAt(t, config, storagetest.OpenBucket(t, config, config.LogBucket))
}

func openLogsAt(t *testing.T, config s3.Config, b storagetest.Bucket) (*logs.Store, string, storagetest.Bucket) {
	t.Helper()
	objects, err := s3.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	spool := t.TempDir()
	store, err := logs.Open(objects.Logs(), spool)
	if err != nil {
		t.Fatal(err)
	}
	return store, spool, b
}

func create(t *testing.T, store *logs.Store, stream string, capacity int64) *logs.Writer {
	t.Helper()
	w, err := store.Create(prefix, stream, capacity)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if n, err := io.WriteString(w, text); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(text), err)
	}
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(15 * time.Second)
	for !ok() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-timeout:
			t.Fatalf("it never happened: %s", what)
		}
	}
}

func spooled(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestShortLogIsOneObject(t *testing.T) {
	t.Parallel()
	store, spool, b := openLogs(t)
	w := create(t, store, "stdout", 0)
	write(t, w, "hello\nworld\n")
	summary, err := w.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("hello\nworld\n"))
	if want := (logs.Summary{Size: 12, Total: 12, SHA256: hex.EncodeToString(sum[:])}); summary != want {
		t.Errorf("summary is %+v, want %+v", summary, want)
	}
	if keys := b.Keys(prefix); fmt.Sprint(keys) != "[stdout.log]" {
		t.Errorf("the bucket has %v", keys)
	}
	if n := spooled(t, spool); n != 0 {
		t.Errorf("%d files are left in the spool", n)
	}
	page, err := store.Page(t.Context(), prefix, "stdout", 6, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	if want := (attune.LogPage{Content: "world\n", Offset: 6, NextOffset: 12, TotalSize: 12}); page != want {
		t.Errorf("page is %+v, want %+v", page, want)
	}
	if _, err := w.Write([]byte("late")); err == nil {
		t.Error("a closed stream takes more")
	}
}

func TestSilentStreamIsAnEmptyObject(t *testing.T) {
	t.Parallel()
	store, _, b := openLogs(t)
	if _, err := create(t, store, "stdout", 0).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.Read(prefix + "stdout.log"); len(got) != 0 {
		t.Errorf("stdout.log holds %q", got)
	}
	for _, stream := range []string{"stdout", "stderr"} { // stderr was never written
		page, err := store.Page(t.Context(), prefix, stream, 5, 0, false)
		if err != nil || page != (attune.LogPage{}) {
			t.Errorf("%s: page is %+v, %v", stream, page, err)
		}
	}
}

// Not parallel: it measures the heap.
func TestLargeLogInConstantMemory(t *testing.T) {
	store, _, b := openLogs(t)
	w := create(t, store, "stdout", logs.DefaultStreamBytes)
	line := bytes.Repeat([]byte("0123456789abcdef"), 2<<10)
	var before, peak runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	total := 0
	for ; total < 50<<20; total += len(line) {
		if _, err := w.Write(line); err != nil {
			t.Fatal(err)
		}
		if total%(5<<20) == 0 {
			runtime.GC()
			runtime.ReadMemStats(&peak)
			if grown := int64(peak.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
				t.Fatalf("the heap grew by %d bytes after %d", grown, total)
			}
		}
	}
	allocated := before.TotalAlloc
	summary, err := w.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&peak)
	if grown := peak.TotalAlloc - allocated; grown > 32<<20 {
		t.Errorf("%d bytes were allocated for one log", grown)
	}
	got := b.Read(prefix + "stdout.log")
	marker := fmt.Sprintf("\n[TRUNCATED: %d bytes omitted, log exceeded 10 MiB limit]\n", total-10<<20-64<<10)
	if want := 10<<20 + len(marker) + 64<<10; len(got) != want || summary.Size != int64(want) {
		t.Fatalf("stored %d bytes, summary says %d, want %d", len(got), summary.Size, want)
	}
	if !bytes.Equal(got[10<<20:10<<20+len(marker)], []byte(marker)) {
		t.Errorf("no marker behind the head")
	}
	if !summary.Truncated || summary.Total != int64(total) {
		t.Errorf("summary is %+v", summary)
	}
	if keys := b.Keys(prefix); fmt.Sprint(keys) != "[stdout.log]" {
		t.Errorf("the bucket has %v", keys)
	}
	page, err := store.Page(t.Context(), prefix, "stdout", 10<<20, 100, false)
	if err != nil || !page.Truncated || !strings.HasPrefix(page.Content, marker[:20]) {
		t.Errorf("page is %+v, %v", page, err)
	}
}

func TestSegmentsWhileRunning(t *testing.T) {
	t.Parallel()
	store, _, b := openLogs(t)
	// A second process has no spool to look into: it reads the bucket.
	other := otherProcess(t, b)
	w := create(t, store, "stdout", 0)
	write(t, w, "first ")
	eventually(t, "the first segment", func() bool { return len(b.Keys(prefix)) == 1 })
	write(t, w, "second €"[:9]) // the euro sign is not complete
	eventually(t, "the second segment", func() bool { return len(b.Keys(prefix)) == 2 })
	want := "[stdout/00000000000000000000.log stdout/00000000000000000006.log]"
	if got := fmt.Sprint(b.Keys(prefix)); got != want {
		t.Errorf("segments are %s, want %s", got, want)
	}
	for name, reader := range map[string]*logs.Store{"same process": store, "other process": other} {
		for _, c := range []struct {
			offset, limit int64
			want          attune.LogPage
		}{
			{0, 0, attune.LogPage{Content: "first second ", NextOffset: 13, TotalSize: 15}},
			{3, 6, attune.LogPage{Content: "st sec", Offset: 3, NextOffset: 9, TotalSize: 15}},
			{13, 0, attune.LogPage{Offset: 13, NextOffset: 13, TotalSize: 15}},
			{99 << 20, 0, attune.LogPage{Offset: 15, NextOffset: 15, TotalSize: 15}},
		} {
			page, err := reader.Page(t.Context(), prefix, "stdout", c.offset, c.limit, true)
			if err != nil || page != c.want {
				t.Errorf("%s, offset %d: page is %+v, %v, want %+v", name, c.offset, page, err, c.want)
			}
		}
	}
	if _, err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys := b.Keys(prefix); fmt.Sprint(keys) != "[stdout.log]" {
		t.Errorf("the bucket has %v", keys)
	}
	page, err := other.Page(t.Context(), prefix, "stdout", 13, 0, true)
	if want := (attune.LogPage{Content: "\uFFFD", Offset: 13, NextOffset: 15, TotalSize: 15}); err != nil || page != want {
		t.Errorf("at the end, the page is %+v, %v, want %+v", page, err, want)
	}
}

func otherProcess(t *testing.T, b storagetest.Bucket) *logs.Store {
	t.Helper()
	config := storagetest.S3Config(t)
	config.LogBucket = b.Name
	store, _, _ := openLogsAt(t, config, b)
	return store
}

func TestFollowerMissesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	store, _, b := openLogs(t)
	follower := otherProcess(t, b)
	w := create(t, store, "stdout", 1<<20)
	var written strings.Builder
	done := make(chan error, 1)
	go func() {
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for i := range 300 {
			line := fmt.Sprintf("line %d äöü€😀\n", i)
			written.WriteString(line)
			if _, err := w.Write([]byte(line)); err != nil {
				done <- err
				return
			}
			<-pace.C
		}
		_, err := w.Close(t.Context())
		done <- err
	}()
	var got strings.Builder
	running := true
	for offset := int64(0); ; {
		page, err := follower.Page(t.Context(), prefix, "stdout", offset, 100, running)
		if err != nil {
			t.Fatal(err)
		}
		if page.Offset != offset {
			t.Fatalf("the page begins at %d, not at %d", page.Offset, offset)
		}
		got.WriteString(page.Content)
		offset = page.NextOffset
		if page.Content != "" {
			continue
		}
		if !running {
			break
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		case <-time.After(10 * time.Millisecond):
		}
	}
	if got.String() != written.String() {
		t.Errorf("followed %d bytes, written were %d", got.Len(), written.Len())
	}
}

func TestBytesThatAreNotText(t *testing.T) {
	t.Parallel()
	store, _, b := openLogs(t)
	w := create(t, store, "stderr", 0)
	write(t, w, "a\x00b\xff\xfe\x1b[31mc")
	if _, err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := string(b.Read(prefix + "stderr.log")); got != "a\x00b\xff\xfe\x1b[31mc" {
		t.Errorf("stored %q", got)
	}
	page, err := store.Page(t.Context(), prefix, "stderr", 0, 0, false)
	want := attune.LogPage{Content: "a\x00b\uFFFD\x1b[31mc", NextOffset: 11, TotalSize: 11}
	if err != nil || page != want {
		t.Errorf("page is %+v, %v, want %+v", page, err, want)
	}
}

func TestOneWriterForEachStream(t *testing.T) {
	t.Parallel()
	store, _, _ := openLogs(t)
	w := create(t, store, "stdout", 0)
	if _, err := store.Create(prefix, "stdout", 0); err == nil {
		t.Error("two write one stream")
	}
	if _, err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := create(t, store, "stdout", 0).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
