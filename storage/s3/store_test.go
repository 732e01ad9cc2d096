package s3_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"attune"
	"attune/storage/s3"
	"attune/storage/storagetest"
)

var archive = strings.Repeat("a", 64)

func code(t *testing.T, err error, want attune.Code) {
	t.Helper()
	if attune.CodeOf(err) != want {
		t.Fatalf("got %v, want a %s error", err, want)
	}
}

func TestArchives(t *testing.T) {
	t.Parallel()
	config := storagetest.S3Config(t)
	objects, err := s3.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	ctx := t.Context()
	content := bytes.Repeat([]byte("archive "), 3<<20) // 24 MiB: more than a client sends in one piece by itself
	for _, ref := range []string{"weather", "weather-2"} {
		for range 2 {
			// A reader that cannot seek, as a request's body.
			body := io.MultiReader(bytes.NewReader(content))
			if err := objects.PutArchive(ctx, ref, "1.0.0", archive, body, int64(len(content))); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := storagetest.OpenBucket(t, config, config.PackBucket)
	if keys := b.Keys("weather/"); len(keys) != 1 || keys[0] != "1.0.0/"+archive+".tar.zst" {
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
	if keys := b.Keys("weather-2/"); len(keys) != 1 {
		t.Errorf("another pack's archive is gone: %v", keys)
	}
}

func TestObjectStoreAway(t *testing.T) {
	t.Parallel()
	config := storagetest.S3Config(t)
	p := storagetest.NewProxy(t, strings.TrimPrefix(config.Endpoint, "http://"))
	config.Endpoint = "http://" + p.Address
	objects, err := s3.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	if err := objects.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	code(t, objects.Ping(t.Context()), attune.CodeUnavailable)
	_, err = objects.GetArchive(t.Context(), "weather", "1.0.0", archive)
	code(t, err, attune.CodeUnavailable)
	_, err = s3.Open(t.Context(), config)
	code(t, err, attune.CodeUnavailable)
	config.Endpoint = "127.0.0.1:9000"
	if _, err := s3.Open(t.Context(), config); err == nil {
		t.Error("an endpoint without a scheme was taken")
	}
}

// TestRefusalsAndPassingFaults: only what is about the object is for good.
func TestRefusalsAndPassingFaults(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct {
		status  int
		refused bool
	}{
		"InvalidArgument": {400, true}, "XMinioInvalidObjectName": {400, true}, "KeyTooLongError": {400, true},
		"EntityTooLarge": {413, true}, "RequestTimeout": {400, false}, "ExpiredToken": {400, false},
		"AccessDenied": {403, false}, "NoSuchBucket": {404, false}, "SlowDown": {503, false},
	} {
		answer := minio.ErrorResponse{Code: code, StatusCode: c.status}
		if refused := errors.Is(s3.Translate("store it", answer), s3.ErrRefused); refused != c.refused {
			t.Errorf("%s with status %d is refused for good: %t", code, c.status, refused)
		}
	}
}

func TestKeysThatNoServiceTakes(t *testing.T) {
	t.Parallel()
	objects := storagetest.OpenObjects(t)
	for _, key := range []string{"not UTF-8 \xff", strings.Repeat("long/", 205), "a/../b", ""} {
		err := objects.Logs().Put(t.Context(), key, strings.NewReader("x"), 1, s3.PutOptions{})
		if !errors.Is(err, s3.ErrRefused) {
			t.Errorf("%q: %v, want that it is refused", key, err)
		}
	}
}
