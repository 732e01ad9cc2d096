package api

import (
	"context"
	"testing"
	"time"

	"attune"
	"attune/imagebuilder/pack"
)

// briefly is a context in which little is waited for.
func briefly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestLimiterKeepsPlacesForOthers(t *testing.T) {
	t.Parallel()
	l := newLimiter("things", 3, 2)
	var releases []func()
	for _, token := range []string{"a", "a", "b"} {
		release, err := l.acquire(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		releases = append(releases, release)
	}
	for token, want := range map[string]attune.Code{"a": attune.CodeRejected, "b": attune.CodeUnavailable} {
		if _, err := l.acquire(briefly(t), token); attune.CodeOf(err) != want {
			t.Errorf("%s: got %v, want %s", token, err, want)
		}
	}
	releases[0]()
	releases[0]()
	if _, err := l.acquire(briefly(t), "c"); err != nil {
		t.Error(err)
	}
	if _, err := l.acquire(briefly(t), "d"); err == nil {
		t.Error("a place was given back twice")
	}
	releases[1]()
	releases[2]()
	if len(l.tokens) != 1 {
		t.Errorf("%d tokens are remembered", len(l.tokens))
	}
}

func TestUploadsShareTheDisk(t *testing.T) {
	t.Parallel()
	limits := pack.DefaultLimits()
	s := newStaging(limits)
	large := pack.Contents{Bytes: limits.UnpackedBytes, Files: int64(limits.Files)}
	release, err := s.unpack(briefly(t), large)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.unpack(briefly(t), large); attune.CodeOf(err) != attune.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	small, err := s.unpack(briefly(t), pack.Contents{Bytes: 1 << 20, Files: 10})
	if err != nil {
		t.Errorf("a small one finds no room beside a large one: %v", err)
	}
	release()
	release, err = s.unpack(briefly(t), large)
	if err != nil {
		t.Error(err)
	}
	release()
	small()
	// More than all there is, by the rounding to blocks, is still served: alone.
	if _, err := s.unpack(briefly(t), pack.Contents{Bytes: 2 * limits.UnpackedBytes, Files: 1}); err != nil {
		t.Error(err)
	}
}
