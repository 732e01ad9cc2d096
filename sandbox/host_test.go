package sandbox

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestCorePattern(t *testing.T) {
	t.Parallel()
	for pattern, fine := range map[string]bool{
		"core\n": true, "/var/crash/core.%p\n": true,
		"|/usr/share/apport/apport -p%p\n": false, "@/run/coredump.socket\n": false,
	} {
		file := filepath.Join(t.TempDir(), "core_pattern")
		if err := os.WriteFile(file, []byte(pattern), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkCorePattern(file); (err == nil) != fine {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	if checkCorePattern(filepath.Join(t.TempDir(), "none")) == nil {
		t.Error("a host that hides its pattern was let through")
	}
}

func TestRuncVersion(t *testing.T) {
	t.Parallel()
	for version, fine := range map[string]bool{
		"1.1.15": false, "1.2.7": false, "1.2.8": true, "1.3.2": false, "1.3.3": true, "1.4.0": true, "1.5.2": true,
		"1.3.0-rc.2": false, "2.0.0": true, "": false, "unknown": false,
	} {
		if err := checkRuncVersion(version); (err == nil) != fine {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestIDRangesAreUnique(t *testing.T) {
	t.Parallel()
	var ranges idRanges
	var mu sync.Mutex
	seen := map[uint32]bool{}
	var takers sync.WaitGroup
	for range 8 {
		takers.Go(func() {
			for range 500 {
				base, err := ranges.take()
				mu.Lock()
				if err != nil || seen[base] || base < 1<<20 || base%idRangeSize != 0 || uint64(base)+idRangeSize > 1<<31 {
					t.Errorf("got %d, %v", base, err)
				}
				seen[base] = true
				mu.Unlock()
			}
		})
	}
	takers.Wait()
}

func TestIDRangesEndAndComeBack(t *testing.T) {
	t.Parallel()
	var ranges idRanges
	var last uint32
	for range (endHostID - firstHostID) / idRangeSize {
		base, err := ranges.take()
		if err != nil {
			t.Fatal(err)
		}
		last = base
	}
	if _, err := ranges.take(); err == nil {
		t.Error("more ranges than there are")
	}
	ranges.release(last)
	if base, err := ranges.take(); err != nil || base != last {
		t.Errorf("got %d, %v, want the one that was given back", base, err)
	}
}

func TestReadLimited(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "result")
	for content, want := range map[string]string{"": "", "{}": "{}"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readLimited(file); err != nil || string(got) != want || (content == "") != (got == nil) {
			t.Errorf("%q was read as %q, %v", content, got, err)
		}
	}
	if err := os.Truncate(file, 2*MaxResultFileBytes); err != nil {
		t.Fatal(err)
	}
	if got, err := readLimited(file); err != nil || len(got) != MaxResultFileBytes+1 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if _, err := readLimited(link); err == nil {
		t.Error("a link was followed")
	}
	if _, err := readLimited(dir); err == nil {
		t.Error("a folder was read")
	}
}
