package nearest

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	t.Parallel()
	names := []string{"entry_point", "parameters", "runner_type", "ref", "env", "secrets"}
	for word, want := range map[string]string{
		"entrypoint":             "entry_point",
		"parameterz":             "parameters",
		"runner-type":            "runner_type",
		"rf":                     "ref",
		"secret":                 "secrets",
		"nothing_like_it":        "",
		"":                       "",
		strings.Repeat("x", 200): "",
	} {
		if got := Name(word, names); got != want {
			t.Errorf("Name(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestNameIsStable(t *testing.T) {
	t.Parallel()
	if got := Name("ab", []string{"ad", "ac"}); got != "ac" {
		t.Errorf("Name = %q, want the first in alphabetical order", got)
	}
}
