package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// writef prints to one of the session's streams. A reader that went away, as in `attune … | head`, ends the process by
// SIGPIPE; other failures cannot be reported anywhere.
func writef(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...)
}

// printJSON prints a document of the API, indented and otherwise untouched.
func (s *session) printJSON(document json.RawMessage) error {
	if document == nil {
		return nil
	}
	var text bytes.Buffer
	if err := json.Indent(&text, document, "", "  "); err != nil {
		return fmt.Errorf("print answer: %w", err)
	}
	writef(s.stdout, "%s\n", text.Bytes())
	return nil
}

// table is rows under a header. A terminal gets aligned columns; anything else tab-separated values without a header,
// as cut and awk like them.
type table struct {
	header []string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (s *session) printTable(t table) {
	for _, row := range t.rows {
		for i := range row {
			row[i] = printable(row[i])
		}
	}
	if !s.stdoutTerminal {
		for _, row := range t.rows {
			writef(s.stdout, "%s\n", strings.Join(row, "\t"))
		}
		return
	}
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	s.printRow(t.header, widths, func(cell string) string { return s.paint(bold, cell) })
	for _, row := range t.rows {
		s.printRow(row, widths, s.paintStatus)
	}
}

// printBelow prints a table under a description, and nothing when it is empty.
func (s *session) printBelow(t table) {
	if len(t.rows) == 0 {
		return
	}
	if s.stdoutTerminal {
		writef(s.stdout, "\n")
	}
	s.printTable(t)
}

// printRow pads first and paints then, because escape codes have no width.
func (s *session) printRow(row []string, widths []int, paint func(string) string) {
	var line strings.Builder
	for i, cell := range row {
		line.WriteString(paint(cell))
		if i < len(row)-1 {
			line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
	}
	writef(s.stdout, "%s\n", line.String())
}

// field is one line of a description.
type field struct{ name, value string }

// printFields prints what is known; fields without a value are left out.
func (s *session) printFields(fields []field) {
	width := 0
	for _, f := range fields {
		if f.value != "" {
			width = max(width, len(f.name))
		}
	}
	for _, f := range fields {
		switch value := printable(f.value); {
		case value == "":
		case s.stdoutTerminal:
			writef(s.stdout, "%s  %s\n", s.paint(bold, fmt.Sprintf("%-*s", width, f.name)), s.paintStatus(value))
		default:
			writef(s.stdout, "%s\t%s\n", f.name, value)
		}
	}
}

// Escape codes of the few colors in use.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s *session) paint(code, text string) string {
	if !s.stdoutTerminal || s.getenv("NO_COLOR") != "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// paintStatus colors the words that say how something ended, and leaves every other cell as it is.
func (s *session) paintStatus(cell string) string {
	switch cell {
	case "completed", "installed", "ok":
		return s.paint(green, cell)
	case "failed", "timeout", "abandoned", "missing":
		return s.paint(red, cell)
	case "queued", "scheduled", "running", "canceling", "pending", "installing", "degraded":
		return s.paint(yellow, cell)
	default:
		return cell
	}
}

// printable keeps text of others on its line and away from the terminal's controls.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// when prints a moment: how long ago for people, exactly for programs.
func (s *session) when(t *time.Time) string {
	switch {
	case t == nil || t.IsZero():
		return ""
	case !s.stdoutTerminal:
		return t.UTC().Format(time.RFC3339Nano)
	}
	switch age := time.Since(*t); {
	case age < -time.Second:
		return "in " + roughly(-age)
	case age < time.Second:
		return "now"
	default:
		return roughly(age) + " ago"
	}
}

// roughly is a duration in its largest unit.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
