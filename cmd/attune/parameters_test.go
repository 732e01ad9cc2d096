package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseParameters(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "list.json")
	if err := os.WriteFile(file, []byte("[1, 2]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := parseParameters([]string{
		"city=Zürich", "empty=", "equation=a=b", "looks_like=x:=1", "at=@home", "number:=3", "list:=[1, \"two\"]",
		"none:=null", "file:=@" + file, "tag:name=x", "comma=a,b",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]json.RawMessage{
		"city": json.RawMessage(`"Zürich"`), "empty": json.RawMessage(`""`), "equation": json.RawMessage(`"a=b"`),
		"looks_like": json.RawMessage(`"x:=1"`), "at": json.RawMessage(`"@home"`), "number": json.RawMessage(`3`),
		"list": json.RawMessage(`[1, "two"]`), "none": json.RawMessage(`null`), "file": json.RawMessage("[1, 2]\n"),
		"tag:name": json.RawMessage(`"x"`), "comma": json.RawMessage(`"a,b"`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseParametersRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flags []string
		want  string
	}{
		"no value":     {[]string{"city"}, "write name=value"},
		"no name":      {[]string{"=x"}, "has no name"},
		"no name JSON": {[]string{":=1"}, "has no name"},
		"twice":        {[]string{"a=1", "a:=1"}, "given twice"},
		"not JSON":     {[]string{"a:=word"}, "must be JSON after :="},
		"two values":   {[]string{"a:=1 2"}, "must be JSON after :="},
		"no file":      {[]string{"a:=@/nonexistent"}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseParameters(test.flags)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
