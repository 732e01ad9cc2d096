package attune_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"attune"
)

func TestErrorsNameTheirPlaces(t *testing.T) {
	t.Parallel()
	err := attune.Invalid("the pack is not valid",
		attune.Problem{File: "pack.yaml", Line: 3, Field: "version", Message: "is missing"},
		attune.Problem{File: "actions/a.yaml", Message: "is a link"},
		attune.Problem{Field: "parameters.n", Message: "must be an integer"})
	const want = "the pack is not valid; pack.yaml:3: version: is missing; actions/a.yaml: is a link; parameters.n: " +
		"must be an integer"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if code := attune.CodeOf(fmt.Errorf("upload: %w", err)); code != attune.CodeInvalid {
		t.Errorf("code of a wrapped error is %q", code)
	}
	if code := attune.CodeOf(errors.New("internal")); code != "" {
		t.Errorf("code of an internal error is %q", code)
	}
}

func TestRefs(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]bool{
		"weather.forecast": true, "a.b": true, "my-pack.my_action": true,
		"weather": false, ".forecast": false, "weather.": false, "Weather.forecast": false, "weather.fore.cast": false,
		"../etc.passwd": false, "weather./x": false, "1a.b": false,
	} {
		if _, _, ok := attune.SplitActionRef(ref); ok != want {
			t.Errorf("%q is a ref: %v, want %v", ref, ok, want)
		}
	}
	for name, want := range map[string]bool{"API_KEY": true, "_x": true, "1x": false, "a-b": false, "": false,
		"a b": false} {
		if attune.ValidSecretName(name) != want {
			t.Errorf("%q is a secret's name: %v, want %v", name, !want, want)
		}
	}
}

func TestStatesEitherEndOrHoldSomething(t *testing.T) {
	t.Parallel()
	open := 0
	for _, s := range attune.Statuses() {
		if !s.Valid() {
			t.Errorf("%s is listed and not valid", s)
		}
		if !s.Terminal() {
			open++
		}
	}
	if open != 4 || attune.Status("done").Valid() {
		t.Errorf("%d states are open, want queued, scheduled, running, canceling", open)
	}
}

// Users look up a reason in the documentation of the command line.
func TestReasonsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range attune.Reasons() {
		if !strings.Contains(string(page), "| `"+string(reason)+"` |") {
			t.Errorf("docs/cli.md does not explain %s", reason)
		}
	}
	for _, status := range attune.Statuses() {
		if !strings.Contains(string(page), "`"+string(status)+"`") {
			t.Errorf("docs/cli.md does not name %s", status)
		}
	}
}
