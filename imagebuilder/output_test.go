package imagebuilder

import (
	"io"
	"strings"
	"testing"
)

func TestStepOutput(t *testing.T) {
	t.Parallel()
	npm := []string{"npm warn x\nnpm error co", "de E404\nnpm error 404 Not Found\nnpm error 404\n",
		"npm error A complete log\n"}
	for name, c := range map[string]struct {
		isComplaint func(string) bool
		writes      []string
		want        string
	}{
		"npm":          {isNPMComplaint, npm, "npm error 404 Not Found"},
		"old npm":      {isNPMComplaint, []string{"npm ERR! code E404\nnpm ERR! 404 gone\n"}, "npm ERR! 404 gone"},
		"last line":    {nil, []string{"one\ntwo\n\n  \n"}, "two"},
		"no line end":  {nil, []string{"one\ntw", "o"}, "two"},
		"nothing":      {nil, nil, ""},
		"endless line": {nil, []string{strings.Repeat("x", 9999)}, strings.Repeat("x", maxReasonBytes)},
		"not UTF-8":    {nil, []string{"a\xffb"}, "a�b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			output := newStepOutput(&log, c.isComplaint)
			stream := output.stream()
			for _, text := range c.writes {
				if _, err := io.WriteString(stream, text); err != nil {
					t.Fatal(err)
				}
			}
			output.end()
			if got := output.reason(); got != c.want {
				t.Errorf("reason is %q, want %q", got, c.want)
			}
			if got, want := log.String(), strings.Join(c.writes, ""); got != want {
				t.Errorf("log is %q, want %q", got, want)
			}
		})
	}
}

// apt writes half a line to stdout, complains on stderr, and then ends the line.
func TestStepOutputOfTwoStreams(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	output := newStepOutput(&log, func(line string) bool { return strings.HasPrefix(line, "E: ") })
	stdout, stderr := output.stream(), output.stream()
	for _, w := range []struct {
		stream *outputStream
		text   string
	}{{stdout, "Building tree..."}, {stderr, "E: no such package\n"}, {stdout, "\nReading state..."}} {
		if _, err := io.WriteString(w.stream, w.text); err != nil {
			t.Fatal(err)
		}
	}
	output.end()
	if got := output.reason(); got != "E: no such package" {
		t.Errorf("reason is %q", got)
	}
	if got := log.String(); got != "E: no such package\nBuilding tree...\nReading state..." {
		t.Errorf("log is %q", got)
	}
}
