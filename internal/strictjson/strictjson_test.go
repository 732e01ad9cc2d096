package strictjson_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"attune/internal/strictjson"
)

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func decode(text []byte) (any, error) {
	document, err := strictjson.Parse(text)
	if err != nil {
		return nil, err
	}
	return document.Value(0), nil
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		` null `:                     nil,
		`true`:                       true,
		`"a\u0000b"`:                 "a\x00b",
		`1.10`:                       json.Number("1.10"),
		`[]`:                         []any{},
		`{}`:                         map[string]any{},
		`{"a":[1,{"b":[]}],"c":"x"}`: map[string]any{"a": []any{json.Number("1"), map[string]any{"b": []any{}}}, "c": "x"},
		`{"a":{"x":1},"b":{"x":2}}`: map[string]any{
			"a": map[string]any{"x": json.Number("1")}, "b": map[string]any{"x": json.Number("2")},
		},
		`123456789012345678901234567890`: json.Number("123456789012345678901234567890"),
		`"a whole pair: \ud83d\ude00"`:   "a whole pair: 😀",
	} {
		got, err := decode([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	if _, err := decode([]byte(nested(strictjson.MaxDepth))); err != nil {
		t.Errorf("at the depth limit: %v", err)
	}
}

// Both ways of reading refuse the same documents with the same error.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text, path string
		want       error
	}{
		"empty":                {``, "", strictjson.ErrSyntax},
		"blank":                {` `, "", strictjson.ErrSyntax},
		"words":                {`hunter2`, "", strictjson.ErrSyntax},
		"unclosed":             {`{"a": 1`, "", strictjson.ErrSyntax},
		"unclosed list":        {`{"a": [1, 2`, "a", strictjson.ErrSyntax},
		"wrong delimiter":      {`{"a": [1}}`, "a", strictjson.ErrSyntax},
		"name without a value": {`{"a"}`, "a", strictjson.ErrSyntax},
		"name not a string":    {`{1: 2}`, "", strictjson.ErrSyntax},
		"trailing comma":       {`{"a": 1,}`, "", strictjson.ErrSyntax},
		"comment":              {`{} // more`, "", strictjson.ErrTrailing},
		"two values":           {`{} {}`, "", strictjson.ErrTrailing},
		"trailing rubbish":     {`{}x`, "", strictjson.ErrTrailing},
		"not UTF-8":            {"{\"a\": \"\xff\"}", "", strictjson.ErrUTF8},
		"half a pair":          {`{"a": ["\udcff"]}`, "a[0]", strictjson.ErrSurrogate},
		"half a pair, upper":   {`"\uD800\n"`, "", strictjson.ErrSurrogate},
		"half a pair, a name":  {`{"a": {"\ud800": 1}}`, "a", strictjson.ErrSurrogate},
		"duplicate":            {`{"a": 1, "a": 2}`, "a", strictjson.ErrDuplicate},
		"duplicate, escaped":   {`{"a": 1, "\u0061": 2}`, "a", strictjson.ErrDuplicate},
		"duplicate, inside":    {`{"p": [0, {"a": 1, "b": 2, "a": 3}]}`, "p[1].a", strictjson.ErrDuplicate},
		"too deep": {
			nested(strictjson.MaxDepth + 1), strings.Repeat("[0]", strictjson.MaxDepth), strictjson.ErrDepth,
		},
		"very deep, unclosed": {
			strings.Repeat(`{"a":`, 100_000), strings.Repeat(".a", strictjson.MaxDepth)[1:], strictjson.ErrDepth,
		},
		"huge exponent": {`{"a": [1e999999999]}`, "a[0]", strictjson.ErrExponent},
		"tiny exponent": {`1E-401`, "", strictjson.ErrExponent},
		"long number":   {`{"0": {"1": ` + strings.Repeat("9", 401) + `}}`, "0.1", strictjson.ErrLongNumber},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, parseErr := strictjson.Parse([]byte(test.text))
			var into any
			for _, err := range []error{parseErr, strictjson.Unmarshal([]byte(test.text), &into)} {
				refused, ok := errors.AsType[*strictjson.Error](err)
				if !ok || !errors.Is(err, test.want) || refused.Path != test.path {
					t.Errorf("got %v, want %q at %q", err, test.want, test.path)
				}
			}
		})
	}
}

func TestUnmarshal(t *testing.T) {
	t.Parallel()
	var got struct {
		Name string          `json:"name"`
		Raw  json.RawMessage `json:"raw"`
	}
	if err := strictjson.Unmarshal([]byte(`{"name": "a", "NAME": "b", "raw": { "b": 1.0 }}`), &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "a" || string(got.Raw) != `{ "b": 1.0 }` {
		t.Errorf("got %+v", got)
	}
	err := strictjson.Unmarshal([]byte(`{"name": 5}`), &got)
	refused, ok := errors.AsType[*strictjson.Error](err)
	if !ok || !errors.Is(err, strictjson.ErrType) || refused.Path != "name" {
		t.Errorf("a wrong type: got %v", err)
	}
}

// encoding/json takes what is taken here, and reads the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `[[[]]]`, `{"a":1,"a":2}`, `nul`, `{"a":`, `"\ud800"`, `1e5`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := decode(text)
		if err != nil {
			return
		}
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-encoding/json +here):\n%s", text, diff)
		}
	})
}
