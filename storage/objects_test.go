package storage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"attune"
	"attune/storage"
	"attune/storage/storagetest"
)

func TestArchives(t *testing.T) {
	t.Parallel()
	config := storagetest.S3Config(t)
	objects, err := storage.OpenObjects(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	ctx := t.Context()
	content := bytes.Repeat([]byte("archive "), 3<<20) // 24 MiB: more than a client sends in one piece by itself
	for _, ref := range []string{"weather", "weather-2"} {
		for range 2 {
			// A reader that cannot seek, as a request's body.
			if err := objects.PutArchive(ctx, ref, "1.0.0", archive, io.MultiReader(bytes.NewReader(content)), int64(len(content))); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := bucket{t, storagetest.S3Client(t, config), config.PackBucket}
	if keys := b.keys("weather/"); len(keys) != 1 || keys[0] != "1.0.0/"+archive+".tar.zst" {
		t.Errorf("the bucket has %v", keys)
	}
	got, err := objects.GetArchive(ctx, "weather", "1.0.0", archive)
	if err != nil {
		t.Fatal(err)
	}
	read, err := io.ReadAll(got)
	if err != nil || !bytes.Equal(read, content) {
		t.Errorf("read %d bytes, %v", len(read), err)
	}
	if err := got.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := objects.RemoveArchives(ctx, "weather"); err != nil {
			t.Fatal(err)
		}
	}
	_, err = objects.GetArchive(ctx, "weather", "1.0.0", archive)
	code(t, err, attune.CodeNotFound)
	if keys := b.keys("weather-2/"); len(keys) != 1 {
		t.Errorf("another pack's archive is gone: %v", keys)
	}
}

func TestObjectStoreAway(t *testing.T) {
	t.Parallel()
	config := storagetest.S3Config(t)
	p := newProxy(t, strings.TrimPrefix(config.Endpoint, "http://"))
	config.Endpoint = "http://" + p.address
	objects, err := storage.OpenObjects(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	if err := objects.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.cut()
	code(t, objects.Ping(t.Context()), attune.CodeUnavailable)
	_, err = objects.GetArchive(t.Context(), "weather", "1.0.0", archive)
	code(t, err, attune.CodeUnavailable)
	_, err = storage.OpenObjects(t.Context(), config)
	code(t, err, attune.CodeUnavailable)
	config.Endpoint = "127.0.0.1:9000"
	if _, err := storage.OpenObjects(t.Context(), config); err == nil {
		t.Error("an endpoint without a scheme was taken")
	}
}

func TestRecordsOfAnExecution(t *testing.T) {
	t.Parallel()
	logs, spool, b := openLogs(t)
	zero := 0
	want := storage.Manifest{
		Execution: "id", Action: "weather.forecast", PackVersion: "1.0.0", ImageDigest: "sha256:1", Attempts: 1,
		Status: attune.StatusCompleted, ExitCode: &zero,
		Streams: map[attune.Stream]storage.LogSummary{attune.Stdout: {Size: 1, Total: 2, Truncated: true, SHA256: "x"}},
	}
	manifest, err := logs.SpoolManifest(prefix, want)
	if err != nil {
		t.Fatal(err)
	}
	result, err := logs.SpoolResult(prefix, []byte(`{"ok":true}`))
	if err != nil {
		t.Fatal(err)
	}
	if n := spooled(t, spool); n != 2 {
		t.Errorf("%d files are in the spool, want both until they are stored", n)
	}
	if err := errors.Join(result.Store(t.Context()), manifest.Store(t.Context())); err != nil || spooled(t, spool) != 0 {
		t.Fatalf("store says %v and leaves %d files", err, spooled(t, spool))
	}
	var got storage.Manifest
	if err := json.Unmarshal(b.read(prefix+"manifest.json"), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := string(b.read(prefix + "result.json")); got != `{"ok":true}` {
		t.Errorf("the result is %s", got)
	}
	info, err := b.client.StatObject(t.Context(), b.name, prefix+"result.json", minio.StatObjectOptions{})
	if err != nil || info.ContentType != "application/json" {
		t.Errorf("the result's type is %s, %v", info.ContentType, err)
	}
}

func TestPlacesInTheBucket(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("east", 5*3600)
	created := time.Date(2030, 1, 2, 3, 0, 0, 0, east) // the day before, in UTC
	if got, want := storage.ExecutionPrefix("weather", "forecast", created, "id"), "executions/weather/forecast/2030/01/01/id/"; got != want {
		t.Errorf("an execution lies at %s, want %s", got, want)
	}
	if got, want := storage.InstallationPrefix("weather", "id"), "installations/weather/id/"; got != want {
		t.Errorf("an installation lies at %s, want %s", got, want)
	}
}
