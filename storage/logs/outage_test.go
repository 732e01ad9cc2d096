package logs_test

import (
	"context"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"attune"
	"attune/storage/logs"
	"attune/storage/s3"
	"attune/storage/storagetest"
)

func openBehindProxy(t *testing.T) (*logs.Store, string, storagetest.Bucket, *storagetest.Proxy) {
	t.Helper()
	config := storagetest.S3Config(t)
	b := storagetest.OpenBucket(t, config, config.LogBucket)
	endpoint, err := url.Parse(config.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := storagetest.NewProxy(t, endpoint.Host)
	config.Endpoint = "http://" + p.Address
	store, spool, _ := openLogsAt(t, config, b)
	return store, spool, b, p
}

func TestOutageDuringTheRunAndTheEnd(t *testing.T) {
	t.Parallel()
	store, spool, b, p := openBehindProxy(t)
	w := create(t, store, "stdout", 1<<20)
	write(t, w, "before\n")
	eventually(t, "a segment", func() bool { return len(b.Keys(prefix)) == 1 })
	p.Cut()
	begin := time.Now()
	flood := strings.Repeat("0123456789abcde\n", 128<<10) // 2 MiB: it goes past the cap
	write(t, w, flood)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the outage held the writer up for %s", took)
	}
	// A reader in the process that writes still sees the stream.
	page, err := store.Page(t.Context(), prefix, "stdout", 0, 9, true)
	if err != nil || page.Content != "before\n01" {
		t.Errorf("page is %+v, %v", page, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	summary, err := w.Close(ctx)
	if attune.CodeOf(err) != attune.CodeUnavailable {
		t.Fatalf("close says %v", err)
	}
	if !summary.Truncated || summary.Total != int64(len(flood)+7) {
		t.Errorf("summary is %+v", summary)
	}
	if err := store.Recover(t.Context()); attune.CodeOf(err) != attune.CodeUnavailable {
		t.Errorf("recover says %v while S3 is away", err)
	}
	if n := spooled(t, spool); n != 1 {
		t.Fatalf("%d files are in the spool", n)
	}
	p.Open()
	if err := store.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := int64(len(b.Read(prefix + "stdout.log"))); got != summary.Size {
		t.Errorf("stored %d bytes, the summary said %d", got, summary.Size)
	}
	if keys := b.Keys(prefix); len(keys) != 1 || spooled(t, spool) != 0 {
		t.Errorf("left are %v and %d files", keys, spooled(t, spool))
	}
}

func TestOutageLeavesNoDocumentBehind(t *testing.T) {
	t.Parallel()
	store, spool, b, p := openBehindProxy(t)
	p.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	result, err := store.SpoolResult(prefix, []byte(`{"n": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := store.SpoolManifest(prefix, logs.Manifest{Execution: "e"})
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Upload(ctx); attune.CodeOf(err) != attune.CodeUnavailable {
		t.Fatalf("storing a result says %v", err)
	}
	manifest.Leave()
	left := io.NewSectionReader(strings.NewReader("beforehello"), 6, 5)
	file, output, err := store.SpoolOutput(prefix, "notes/a b.txt", left)
	want := attune.OutputFile{
		Name: "notes/a b.txt", Size: 5, SHA256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
	}
	if err != nil || file != want {
		t.Fatalf("an output file is %+v, %v", file, err)
	}
	if err := output.Upload(ctx); attune.CodeOf(err) != attune.CodeUnavailable {
		t.Fatalf("storing an output file says %v", err)
	}
	p.Open()
	if err := store.Recover(t.Context()); err != nil || spooled(t, spool) != 0 {
		t.Fatalf("recover says %v and leaves %d files", err, spooled(t, spool))
	}
	if content := b.Read(prefix + "output/notes/a b.txt"); string(content) != "hello" {
		t.Errorf("the output file has %q", content)
	}
	if result, manifest := b.Read(prefix+"result.json"), b.Read(prefix+"manifest.json"); string(result) != `{"n": 1}` ||
		!strings.Contains(string(manifest), `"execution": "e"`) {
		t.Errorf("stored %s and %s", result, manifest)
	}
}

func TestOutageThatEndsInTime(t *testing.T) {
	t.Parallel()
	store, _, b, p := openBehindProxy(t)
	w := create(t, store, "stdout", 0)
	write(t, w, "patience")
	p.Cut()
	closed := make(chan error, 1)
	go func() {
		_, err := w.Close(t.Context())
		closed <- err
	}()
	select {
	case err := <-closed:
		t.Fatalf("close returned during the outage: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	p.Open()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if got := string(b.Read(prefix + "stdout.log")); got != "patience" {
		t.Errorf("stored %q", got)
	}
}

func TestRecoverAfterACrash(t *testing.T) {
	t.Parallel()
	store, spool, b := openLogs(t)
	w := create(t, store, "stdout", 0)
	write(t, w, "written before the crash")
	eventually(t, "a segment", func() bool { return len(b.Keys(prefix)) == 1 })
	// The next process finds what a killed one leaves: the spool as it stood, and a file it had only begun.
	next := t.TempDir()
	files, err := filepath.Glob(filepath.Join(spool, "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the spool has %v, %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"a.spool": content, "b.spool": content[:10]} {
		if err := os.WriteFile(filepath.Join(next, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := storagetest.S3Config(t)
	config.LogBucket = b.Name
	objects, err := s3.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	recovering, err := logs.Open(objects.Logs(), next)
	if err != nil {
		t.Fatal(err)
	}
	if err := recovering.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := string(b.Read(prefix + "stdout.log")); got != "written before the crash" {
		t.Errorf("stored %q", got)
	}
	if keys := b.Keys(prefix); len(keys) != 1 || spooled(t, next) != len(refused(t, next)) {
		t.Errorf("left are %v and %d files", keys, spooled(t, next))
	}
	// A stream that is being written is left alone.
	if err := store.Recover(t.Context()); err != nil || spooled(t, spool) != 1 {
		t.Errorf("recover took an open stream: %v", err)
	}
	if _, err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
