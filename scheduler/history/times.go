package history

import (
	"fmt"
	"strings"
	"time"
)

// parseTime reads a timestamp in PostgreSQL's ISO style.
func parseTime(text string) time.Time {
	for _, zone := range []string{"-07", "-07:00"} {
		if t, err := time.Parse("2006-01-02 15:04:05.999999"+zone, text); err == nil {
			return t
		}
	}
	return time.Time{}
}

// parseInterval reads an interval in PostgreSQL's style: `[<n> day[s] ]hh:mm:ss[.ffffff]`.
func parseInterval(text string) time.Duration {
	var days, hours, minutes int
	var seconds float64
	if n, clock, found := strings.Cut(text, " day"); found {
		_, _ = fmt.Sscan(n, &days)
		text = strings.TrimPrefix(strings.TrimPrefix(clock, "s"), " ")
	}
	_, _ = fmt.Sscanf(text, "%d:%d:%g", &hours, &minutes, &seconds)
	whole := time.Duration(24*days+hours)*time.Hour + time.Duration(minutes)*time.Minute
	return whole + time.Duration(seconds*float64(time.Second))
}
