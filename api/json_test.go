package api

import (
	"strings"
	"testing"

	"attune/internal/strictjson"
)

func TestRequestBody(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := map[string]struct {
		body string
		want string
	}{
		"object":              {`{"a": [1, {"b": null}], "c": "x"}`, ""},
		"same name, apart":    {`{"a": {"x": 1}, "b": {"x": 2}}`, ""},
		"large number":        {`{"n": 123456789012345678901234567890}`, ""},
		"at the depth limit":  {nested(strictjson.MaxDepth), ""},
		"too deep":            {nested(strictjson.MaxDepth + 1), "nests deeper"},
		"very deep, unclosed": {strings.Repeat(`{"a":`, 100_000), "nests deeper"},
		"duplicate":           {`{"a": 1, "a": 2}`, "given twice"},
		"duplicate, escaped":  {`{"a": 1, "\u0061": 2}`, "given twice"},
		"duplicate, inside":   {`{"p": [{"a": 1, "b": 2, "a": 3}]}`, "given twice"},
		"two values":          {`{} {}`, "goes on after"},
		"trailing rubbish":    {`{}x`, "goes on after"},
		"empty":               {``, "not JSON"},
		"unclosed":            {`{"a": 1`, "not JSON"},
		"wrong delimiter":     {`{"a": [1}}`, "not JSON"},
		"name without value":  {`{"a"}`, "not JSON"},
		"name not a string":   {`{1: 2}`, "not JSON"},
		"trailing comma":      {`{"a": 1,}`, "not JSON"},
		"words":               {`hunter2`, "not JSON"},
		"huge number":         {`{"a": 1e999999999}`, "is a number with an exponent beyond"},
		"not UTF-8":           {"{\"a\": \"\xff\"}", "not UTF-8"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := jsonFormat.Unmarshal([]byte(test.body), new(any))
			switch {
			case test.want == "" && err != nil:
				t.Fatalf("got %v, want it accepted", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Fatalf("got %v, want an error with %q", err, test.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Fatalf("the error quotes the body: %v", err)
			}
		})
	}
}
