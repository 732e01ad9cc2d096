package sandbox_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"attune/sandbox"
)

// TestOutputNames: a name that a bucket or a folder cannot hold is not kept, and is said in a way that can be printed.
func TestOutputNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", sandbox.MaxOutputName)
	for name, want := range map[string]struct{ said, reason string }{
		"a.txt": {}, "deep/ü x": {}, long: {}, "..a": {}, "a..": {}, "...": {}, " a ": {}, "per cent %s": {},
		"b" + long:         {"b" + long, "more than 255 bytes"},
		"r\xe9sum\xe9.pdf": {`r\xe9sum\xe9.pdf`, "not UTF-8"},
		"two\nlines.txt":   {`two\nlines.txt`, "control character"},
		"\x1b[2J":          {`\x1b[2J`, "control character"},
		"\u0085":           {`\u0085`, "control character"},
		"\uFFFE":           {`\ufffe`, "control character"},
		`..\x`:             {`..\\x`, "backslash"},
		" ..":              {" ..", "a dot or two"},
		"a/. /b":           {"a/. /b", "a dot or two"},
		"a/\u00a0..":       {`a/\u00a0..`, "a dot or two"},
	} {
		var o sandbox.Outputs
		o.Keep(name, 1, strings.NewReader("x"))
		if want.reason == "" {
			if len(o.Kept) != 1 || o.Kept[0].Name != name || len(o.NotKept) > 0 {
				t.Errorf("%.20q: %+v", name, o)
			}
		} else if len(o.Kept) > 0 || len(o.NotKept) != 1 || o.NotKept[0].Name != want.said ||
			!strings.Contains(o.NotKept[0].Reason, want.reason) {
			t.Errorf("%.20q: %+v, want %v", name, o, want)
		}
	}
}

func TestOutputBounds(t *testing.T) {
	t.Parallel()
	var many sandbox.Outputs
	for i := range sandbox.MaxOutputFiles + 3 {
		many.Keep(fmt.Sprint(i), 1, strings.NewReader("x"))
	}
	if len(many.Kept) != sandbox.MaxOutputFiles || len(many.NotKept) != 3 || many.NotKept[0].Name != "100" {
		t.Errorf("%d of many files, not %v", len(many.Kept), many.NotKept)
	}
	var large sandbox.Outputs
	large.Keep("most", sandbox.MaxOutputBytes-2, strings.NewReader("x"))
	large.Keep("beyond", 3, strings.NewReader("xyz"))
	large.Keep("fits", 2, strings.NewReader("xy"))
	if len(large.Kept) != 2 || len(large.NotKept) != 1 || large.NotKept[0].Name != "beyond" {
		t.Fatalf("large files: %+v", large)
	}
	if content, err := io.ReadAll(large.Kept[1].Content); err != nil || string(content) != "xy" {
		t.Errorf("read %q, %v", content, err)
	}
}
