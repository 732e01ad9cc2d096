package sandbox_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"attune/sandbox"
)

// TestReadOutputs: whatever a sandbox has written there, the host takes no more of it than it may, and no name that
// leads anywhere else.
func TestReadOutputs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", sandbox.MaxOutputName)
	for name, c := range map[string]struct {
		collected string
		want      string
	}{
		"nothing": {"", ""},
		"files": {
			"a.txt\x005\x00hello" + "deep/b\x000\x00" + "ü x\x003\x00a\x00b",
			"a.txt=hello deep/b= ü x=a\x00b",
		},
		"names that lead out": {
			"../a\x001\x00x" + "/etc/b\x001\x00x" + "a/../b\x001\x00x" + ".\x001\x00x" + "\x001\x00x" +
				"a//b\x001\x00x" + "fine\x001\x00y",
			"fine=y",
		},
		"unreadable names":    {"a\nb\x001\x00x" + "\xff\x001\x00x" + "fine\x001\x00y", "fine=y"},
		"long names":          {long + "\x001\x00x" + "b" + long + "\x001\x00x" + "fine\x001\x00y", long + "=x fine=y"},
		"name without an end": {strings.Repeat("n", 10000), ""},
		"the same twice":      {"a\x001\x00x" + "a\x001\x00y", "a=x"},
		"a file and a folder": {
			"a\x001\x00x" + "a/b\x001\x00y" + "c/d\x001\x00x" + "c\x001\x00x" + "ab\x001\x00z",
			"a=x c/d=x ab=z",
		},
		"size too large":      {"a\x005\x00x", ""},
		"size below nothing":  {"a\x00-1\x00x", ""},
		"size beyond numbers": {"a\x0099999999999999999999\x00x", ""},
		"no size":             {"a\x00", ""},
		"no number":           {"a\x00x\x00x", ""},
		"cut off":             {"a\x001\x00x" + "b\x005\x00xy", "a=x"},
	} {
		var got []string
		for _, o := range sandbox.ReadOutputs(strings.NewReader(c.collected), int64(len(c.collected))) {
			content, err := io.ReadAll(o.Content)
			if err != nil {
				t.Error(err)
			}
			got = append(got, o.Name+"="+string(content))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: got %.300q, want %.300q", name, text, c.want)
		}
	}
	var many strings.Builder
	for i := range 2 * sandbox.MaxOutputFiles {
		fmt.Fprintf(&many, "%d\x001\x00x", i)
	}
	got := sandbox.ReadOutputs(strings.NewReader(many.String()), int64(many.Len()))
	if len(got) != sandbox.MaxOutputFiles {
		t.Errorf("%d of many files", len(got))
	}
	half := fmt.Sprintf("\x00%d\x00%s", sandbox.MaxOutputBytes/2, strings.Repeat("x", sandbox.MaxOutputBytes/2))
	large := "a" + half + "b" + half + "c\x001\x00x"
	if got := sandbox.ReadOutputs(strings.NewReader(large), int64(len(large))); len(got) != 2 {
		t.Errorf("%d of large files", len(got))
	}
}
