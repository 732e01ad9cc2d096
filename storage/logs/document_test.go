package logs_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"attune"
	"attune/storage/logs"
)

func TestRecordsOfAnExecution(t *testing.T) {
	t.Parallel()
	store, spool, b := openLogs(t)
	zero := 0
	want := logs.Manifest{
		Execution: "id", Action: "weather.forecast", PackVersion: "1.0.0", ImageDigest: "sha256:1", Attempts: 1,
		Status: attune.StatusCompleted, ExitCode: &zero,
		Streams: map[attune.Stream]logs.Summary{attune.Stdout: {Size: 1, Total: 2, Truncated: true, SHA256: "x"}},
	}
	manifest, err := store.SpoolManifest(prefix, want)
	if err != nil {
		t.Fatal(err)
	}
	result, err := store.SpoolResult(prefix, []byte(`{"ok":true}`))
	if err != nil {
		t.Fatal(err)
	}
	if n := spooled(t, spool); n != 2 {
		t.Errorf("%d files are in the spool, want both until they are stored", n)
	}
	if err := errors.Join(result.Upload(t.Context()), manifest.Upload(t.Context())); err != nil || spooled(t, spool) != 0 {
		t.Fatalf("store says %v and leaves %d files", err, spooled(t, spool))
	}
	var got logs.Manifest
	if err := json.Unmarshal(b.Read(prefix+"manifest.json"), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := string(b.Read(prefix + "result.json")); got != `{"ok":true}` {
		t.Errorf("the result is %s", got)
	}
	info, err := b.Client.StatObject(t.Context(), b.Name, prefix+"result.json", minio.StatObjectOptions{})
	if err != nil || info.ContentType != "application/json" {
		t.Errorf("the result's type is %s, %v", info.ContentType, err)
	}
}
