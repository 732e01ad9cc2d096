package main

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// day is what time.ParseDuration has no unit for.
const day = 24 * time.Hour

// duration is a length of time in a flag; see parseDuration.
type duration time.Duration

// UnmarshalText reads a length of time that is not negative. The parser says which flag it is about.
func (d *duration) UnmarshalText(text []byte) error {
	length, err := parseDuration(string(text))
	if err != nil || length < 0 {
		return usagef("%q is not a length of time: write 90s, 10m, 12h, 30d or 1d12h", text)
	}
	*d = duration(length)
	return nil
}

// parseDuration reads what time.ParseDuration does, and days: 90s, 10m, 1h30m, 30d, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	days, rest, hasDays := strings.Cut(text, "d")
	if !hasDays {
		return time.ParseDuration(text)
	}
	n, err := strconv.Atoi(days)
	length := time.Duration(n) * day
	if err != nil || length/day != time.Duration(n) {
		return 0, strconv.ErrRange
	}
	if rest == "" {
		return length, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || n < 0 || more < 0 || length+more < length {
		return 0, errors.Join(err, strconv.ErrRange)
	}
	return length + more, nil
}

// parseSpan reads whole seconds.
func parseSpan(flag, text string) (int, error) {
	length, err := parseDuration(text)
	if err != nil || length%time.Second != 0 {
		return 0, usagef("%s %s: write a time of whole seconds, such as 90s, 10m, 1h or 1d", flag, text)
	}
	return int(length / time.Second), nil
}

// moment is a point in time in a flag: a length of time ago, a date, or a date with a time.
type moment time.Time

// UnmarshalText reads 1d, 2026-03-01 (midnight here) or 2026-03-01T09:30:00Z. The parser says which flag it is about.
func (m *moment) UnmarshalText(text []byte) error {
	var ago duration
	if ago.UnmarshalText(text) == nil {
		*m = moment(time.Now().Add(-time.Duration(ago)))
		return nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.ParseInLocation(layout, string(text), time.Local); err == nil {
			*m = moment(at)
			return nil
		}
	}
	return usagef("%q is not a time: write how long ago (90s, 24h, 7d), a date (2026-03-01), or 2026-03-01T09:30:00Z",
		text)
}
