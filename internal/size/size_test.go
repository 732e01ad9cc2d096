package size_test

import (
	"testing"

	"attune/internal/size"
)

func TestSizes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64][2]string{
		0:               {"0 bytes", "0 bytes"},
		1000:            {"1000 bytes", "1000 bytes"},
		1536:            {"1536 bytes", "1.5 KiB"},
		64 << 10:        {"64 KiB", "64 KiB"},
		10 << 20:        {"10 MiB", "10 MiB"},
		10<<20 + 1<<19:  {"10752 KiB", "10.5 MiB"},
		10<<20 + 1:      {"10485761 bytes", "10 MiB"},
		1 << 30:         {"1 GiB", "1 GiB"},
		5000 << 40:      {"5000 TiB", "5000 TiB"},
		1<<40 + 200<<30: {"1224 GiB", "1.2 TiB"},
	} {
		if exact, about := size.Exact(n), size.About(n); exact != want[0] || about != want[1] {
			t.Errorf("%d is exactly %q and about %q, want %q and %q", n, exact, about, want[0], want[1])
		}
	}
}
