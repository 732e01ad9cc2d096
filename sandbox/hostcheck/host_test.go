package hostcheck

import (
	"os"
	"path/filepath"
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
