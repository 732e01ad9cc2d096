package logs

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"attune/internal/size"
)

// stored is the model: what contract 5 keeps of a stream, without the arithmetic of files.
func stored(stream []byte, capacity int) []byte {
	omitted := len(stream) - capacity - tailBytes
	if omitted <= 0 {
		return stream
	}
	marker := fmt.Sprintf("\n[TRUNCATED: %d bytes omitted, log exceeded %s limit]\n", omitted, size.Exact(int64(capacity)))
	return bytes.Join([][]byte{stream[:capacity], []byte(marker), stream[len(stream)-tailBytes:]}, nil)
}

func TestSpoolKeepsWhatTheContractSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.SampledFrom([]int{1, 1 << 10, 5000, 100 << 10}).Draw(t, "cap")
		sizes := rapid.SliceOfN(rapid.OneOf(
			rapid.IntRange(0, 200), rapid.IntRange(tailBytes-2, tailBytes+2), rapid.IntRange(0, 3*tailBytes),
			rapid.Just(capacity), rapid.Just(capacity+tailBytes),
		), 0, 8).Draw(t, "sizes")

		s, err := createSpool(filepath.Join(dir, uuid.NewString()),
			spoolHeader{Prefix: "executions/p/a/", Stream: "stdout", Cap: int64(capacity)})
		if err != nil {
			t.Fatal(err)
		}
		var stream []byte
		for i, size := range sizes {
			piece := make([]byte, size)
			for j := range piece {
				piece[j] = byte('a' + (i*7+j/251+j)%26)
			}
			stream = append(stream, piece...)
			if err := s.write(piece); err != nil {
				t.Fatal(err)
			}
		}
		check(t, s, stream, capacity)
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		// A process that starts after a crash must find the same.
		again, err := openSpool(s.file.Name())
		if err != nil {
			t.Fatal(err)
		}
		check(t, again, stream, capacity)
		if err := again.close(); err != nil {
			t.Fatal(err)
		}
		if err := again.remove(); err != nil {
			t.Fatal(err)
		}
	})
}

func check(t *rapid.T, s *spool, stream []byte, capacity int) {
	got, err := io.ReadAll(s.content())
	if err != nil {
		t.Fatal(err)
	}
	if want := stored(stream, capacity); !bytes.Equal(got, want) {
		t.Fatalf("%d bytes written at cap %d: stored %d bytes, want %d", len(stream), capacity, len(got), len(want))
	}
	if s.total != int64(len(stream)) {
		t.Fatalf("total is %d, want %d", s.total, len(stream))
	}
	if want := len(stream) > capacity+tailBytes; s.truncated() != want {
		t.Fatalf("truncated is %v, want %v", s.truncated(), want)
	}
}

func TestConcatReadsAnywhere(t *testing.T) {
	t.Parallel()
	word := func(s string, offset, size int64) part { return part{bytes.NewReader([]byte(s)), offset, size} }
	content := concat(word("xhead", 1, 4), word("", 0, 0), word("marker", 0, 6), word("tail", 0, 4))
	if err := iotest.TestReader(content, []byte("headmarkertail")); err != nil {
		t.Fatal(err)
	}
}

func TestPartialRune(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "a": 0, "é": 0, "a\xc3": 1, "a\xe2\x82": 2, "\xf0\x9f\x98": 3, "a\xff": 0, "\x80\x80\x80\x80": 0, "€": 0,
	} {
		if got := partialRune([]byte(text)); got != want {
			t.Errorf("%q ends in %d bytes of a character, want %d", text, got, want)
		}
	}
}

func TestSpoolOnAFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), uuid.NewString())
	s, err := createSpool(path, spoolHeader{Prefix: "p/", Stream: "stdout", Cap: 100})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.write([]byte("kept")); err != nil {
		t.Fatal(err)
	}
	// A closed file refuses writes as a full disk does.
	readable, err := openSpool(s.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if err := s.write([]byte("lost")); err == nil {
		t.Error("the first failure is not told")
	}
	if err := s.write([]byte("lost too")); err != nil {
		t.Errorf("a later failure is told again: %v", err)
	}
	s.file = readable.file
	got, err := io.ReadAll(s.content())
	if err != nil {
		t.Fatal(err)
	}
	if want := "kept\n[TRUNCATED: 12 bytes omitted, the disk of the log spool was full]\n"; string(got) != want {
		t.Errorf("stored %q, want %q", got, want)
	}
	if err := readable.close(); err != nil {
		t.Fatal(err)
	}
}
