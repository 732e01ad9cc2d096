// Package size writes numbers of bytes for people.
package size

import (
	"fmt"
	"strings"
)

var units = []string{"bytes", "KiB", "MiB", "GiB", "TiB"}

// Exact is n in the largest unit that divides it, such as "10 MiB" or "1536 bytes". It suits limits.
func Exact(n int64) string {
	unit := 0
	for ; unit < len(units)-1 && n >= 1<<10 && n%(1<<10) == 0; unit++ {
		n >>= 10
	}
	return fmt.Sprintf("%d %s", n, units[unit])
}

// About is n with one decimal at most, such as "1.4 MiB". It suits measurements.
func About(n int64) string {
	unit, value := 0, float64(n)
	for ; unit < len(units)-1 && value >= 1<<10; unit++ {
		value /= 1 << 10
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + units[unit]
}
