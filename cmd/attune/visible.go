package main

import (
	"strings"
	"unicode"
)

// visible shows the control characters of a log as signs (ESC as ␛), but for line ends and tabs. Sent to a terminal as
// they are, they can rewrite what stands there, its title, or what the next paste runs.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		const pictures = '\u2400'
		switch {
		case r == '\n' || r == '\t' || !unicode.IsControl(r):
			return r
		case r < ' ':
			return pictures + r
		case r == 0x7f:
			return '\u2421'
		default:
			return unicode.ReplacementChar
		}
	}, strings.ReplaceAll(text, "\r\n", "\n"))
}
