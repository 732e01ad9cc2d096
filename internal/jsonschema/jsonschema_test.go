package jsonschema_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"attune"
	"attune/internal/jsonschema"
)

const city = `{"type":"object","required":["city"],"properties":{
	"city":{"type":"string"},"days":{"type":"integer","default":3,"minimum":1},"big":{"type":"integer"}}}`

func TestApply(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ schema, document, want string }{
		"default is filled in": {city, `{"city":"Oslo"}`, `{"city":"Oslo","days":3}`},
		"given value stays":    {city, `{"city":"Oslo","days":5}`, `{"city":"Oslo","days":5}`},
		"large number stays": {
			city, `{"city":"<Oslo>","big":12345678901234567890}`, `{"city":"<Oslo>","big":12345678901234567890,"days":3}`,
		},
		"digits stay":    {``, `{"a":1.10,"b":1e3}`, `{"a":1.10,"b":1e3}`},
		"large default":  {`{"properties":{"a":{"default":98765432109876543210}}}`, `{}`, `{"a":98765432109876543210}`},
		"null default":   {`{"properties":{"a":{"default":null}}}`, `{}`, `{"a":null}`},
		"no schema":      {``, `{"anything": 1}`, `{"anything":1}`},
		"null schema":    {`null`, `{}`, `{}`},
		"true schema":    {`true`, `{"a":1}`, `{"a":1}`},
		"no document":    {``, ``, `{}`},
		"null document":  {city[:0], `null`, `{}`},
		"open schema":    {`{"properties":{"a":{}},"additionalProperties":true}`, `{"b":1}`, `{"b":1}`},
		"named by allOf": {`{"properties":{"a":{}},"allOf":[{"properties":{"b":{}}}]}`, `{"a":1,"b":1}`, `{"a":1,"b":1}`},
		"named by $ref": {
			`{"properties":{"a":{}},"$ref":"#/$defs/b","$defs":{"b":{"properties":{"b":{}}}}}`, `{"b":1}`, `{"b":1}`,
		},
		"named by pattern": {`{"properties":{"a":{}},"patternProperties":{"^x_":{}}}`, `{"x_1":1}`, `{"x_1":1}`},
		"brackets in a string": {
			``, `{"a":"` + strings.Repeat("[", 100) + `\"["}`, `{"a":"` + strings.Repeat("[", 100) + `\"["}`,
		},
		"x- keyword": {`{"type":"object","x-order":[1]}`, `{}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := mustCompile(t, test.schema).Apply(t.Context(), "parameters", json.RawMessage(test.document))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		schema, document string
		problems         []string
	}{
		"wrong type": {city, `{"city":5}`, []string{"parameters.city: must be a string, is a number"}},
		"missing and unknown": {city, `{"ciyt":"x"}`, []string{
			"parameters.city: is required", `parameters.ciyt: is unknown; did you mean "city"?`,
		}},
		"unknown":      {city, `{"city":"x","zzzzzz":1}`, []string{"parameters.zzzzzz: is unknown"}},
		"minimum":      {city, `{"city":"x","days":0}`, []string{"parameters.days: must be at least 1"}},
		"fraction":     {city, `{"city":"x","days":1.5}`, []string{"parameters.days: must be a whole number"}},
		"no parameter": {`{"properties":{}}`, `{"a":1}`, []string{"parameters.a: is unknown"}},
		"two wrong": {`{"properties":{"a":{"type":"boolean"},"b":{"enum":["x",2]}}}`, `{"b":1,"a":"yes"}`, []string{
			"parameters.a: must be true or false, is a string", `parameters.b: must be one of "x", 2`,
		}},
		"nested": {
			`{"properties":{"a":{"properties":{"b":{"type":"array"}}}}}`, `{"a":{"b":1}}`,
			[]string{"parameters.a.b: must be a list, is a number"},
		},
		"in a list": {
			`{"properties":{"a":{"items":{"maximum":0.5}}}}`, `{"a":[0,1]}`, []string{"parameters.a[1]: must be at most 0.5"},
		},
		"alternatives": {
			`{"properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]}}}`, `{"a":1}`,
			[]string{"parameters.a: fits none of the allowed forms: must be a string, is a number; " +
				"or must be null, is a number"},
		},
		"failing part names a property": {
			`{"properties":{"a":{}},"allOf":[{"properties":{"b":{"type":"string"}}}]}`, `{"b":1}`,
			[]string{"parameters.b: must be a string, is a number"},
		},
		"format": {`{"properties":{"a":{"format":"date"}}}`, `{"a":"today"}`, []string{"parameters.a: must be a valid date"}},
		"reference": {
			`{"properties":{"a":{"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"null"}}}`, `{"a":1}`,
			[]string{"parameters.a: must be null, is a number"},
		},
		"not an object": {city, `[1]`, []string{"parameters: must be an object, is a list"}},
		"not JSON":      {city, `{"city"`, []string{"parameters.city: is not valid JSON"}},
		"two values":    {city, `{} {}`, []string{"parameters: must be one JSON value, something follows it"}},
		"twice":         {``, `{"a":{"b":1,"b":2}}`, []string{"parameters.a.b: is there twice"}},
		"too deep": {
			``, strings.Repeat(`[`, 100) + strings.Repeat("]", 100),
			[]string{"parameters" + strings.Repeat("[0]", 64) + ": nests deeper than 64 levels"},
		},
		"huge exponent": {
			`{"properties":{"a":{"minimum":1}}}`, `{"a":1e999999999}`,
			[]string{"parameters.a: is a number with an exponent beyond 400"},
		},
		"long number": {
			``, `{"a":` + strings.Repeat("9", 401) + `}`,
			[]string{"parameters.a: is a number of more than 400 characters"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := mustCompile(t, test.schema).Apply(t.Context(), "parameters", json.RawMessage(test.document))
			if name == "not JSON" { // the decoder's own words are its own business
				if len(problemTexts(err)) != 1 || attune.CodeOf(err) != attune.CodeInvalid {
					t.Fatalf("got %v", err)
				}
				return
			}
			if diff := cmp.Diff(test.problems, problemTexts(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	schema := mustCompile(t, `{"type":"array","uniqueItems":true}`)
	if err := schema.Check(t.Context(), "result", json.RawMessage(`[1,2]`)); err != nil {
		t.Error(err)
	}
	want := []string{"result: must not repeat an item: items 0 and 1 are equal"}
	if diff := cmp.Diff(want, problemTexts(schema.Check(t.Context(), "result", json.RawMessage(`[1,1.0]`)))); diff != "" {
		t.Error(diff)
	}
	if err := mustCompile(t, "").Check(t.Context(), "result", json.RawMessage(`7`)); err != nil {
		t.Error(err)
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]string{
		`{"type":"strin"}`:                                 "type: fits none of the allowed forms: must be one of",
		`{"$ref":"file:///etc/passwd"}`:                    "$ref: must point into this schema",
		`{"$ref":"http://127.0.0.1/schema"}`:               "$ref: must point into this schema",
		`{"$ref":"#/$defs/missing"}`:                       "nothing is there",
		`{"$schema":"http://127.0.0.1/schema"}`:            `$schema: must be "https://json-schema.org/draft/2020-12/schema"`,
		`{"properties":{"a":{"minLength":"one"}}}`:         "properties.a.minLength: must be a whole number, is a string",
		`{"properties":{"a":{"required":true}}}`:           "properties.a.required: must be a list, is true or false",
		`{"properties":{"a":{"default":1,"type":"null"}}}`: "properties.a.default: must be null, is a number",
		`{"properties":{"a":{"requird":["b"]}}}`: `properties.a.requird: ` +
			`is not a keyword of JSON Schema; did you mean "required"?`,
		`{"city":{"type":"string"}}`: `city: is not a keyword of JSON Schema; ` +
			`parameters are named below "properties"`,
		`{"properties":{"a":{"pattern":"("}}}`: "properties.a.pattern: is not a regular expression",
		`{"patternProperties":{"[":{}}}`:       "patternProperties.[: is not a regular expression",
		`{"properties":{"a":{"$ref":"#"}}}`:    "properties.a.$ref: refers to itself",
		`{"$id":"http://example.org/"}`:        "$id: is not supported",
		`{"minimum":1e999999999}`:              "minimum: is a number with an exponent beyond 400",
		`{`:                                    "is not valid JSON",
		`[]`:                                   "must be",
		`"object"`:                             "must be",
		`{"title":"` + strings.Repeat("x", 200<<10) + `"}`: "is larger than 128 KiB",
	} {
		_, err := jsonschema.Compile(json.RawMessage(schema))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("schema %.80s: got error %v, want one with %q", schema, err, want)
		}
		if err != nil && attune.CodeOf(err) != attune.CodeInvalid {
			t.Errorf("schema %.80s: an internal error: %v", schema, err)
		}
	}
}

// A schema that doubles at each of thirty steps would take minutes to validate one document.
func TestCompileBoundsReferences(t *testing.T) {
	t.Parallel()
	var defs strings.Builder
	for i := range 30 {
		next := `"#/$defs/` + string(rune('b'+i)) + `"`
		defs.WriteString(`"` + string(rune('a'+i)) + `":{"allOf":[{"$ref":` + next + `},{"$ref":` + next + `}]},`)
	}
	last := string(rune('a' + 30))
	_, err := jsonschema.Compile(json.RawMessage(`{"$ref":"#/$defs/a","$defs":{` + defs.String() + `"` + last + `":{}}}`))
	if err == nil || !strings.Contains(err.Error(), "more than 2000 parts") {
		t.Errorf("got %v", err)
	}
}

func FuzzSchema(f *testing.F) {
	f.Add([]byte(city), []byte(`{"city":"Oslo"}`))
	f.Add([]byte(`{"properties":{"a":{"anyOf":[{"multipleOf":0.1},{"format":"uri"}]}}}`), []byte(`{"a":1e30}`))
	f.Add([]byte(`{"$defs":{"a":{"items":{"$ref":"#/$defs/b"}},"b":{}},"$ref":"#/$defs/a"}`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, schema, document []byte) {
		s, err := jsonschema.Compile(schema)
		if err != nil {
			if attune.CodeOf(err) != attune.CodeInvalid {
				t.Fatalf("internal error: %v", err)
			}
			return
		}
		filled, err := s.Apply(t.Context(), "parameters", document)
		if err != nil {
			return
		}
		if again, err := s.Apply(t.Context(), "parameters", filled); err != nil || string(again) != string(filled) {
			t.Fatalf("second round: %s, %v; first: %s", again, err, filled)
		}
	})
}

func mustCompile(tb testing.TB, schema string) *jsonschema.Schema {
	tb.Helper()
	s, err := jsonschema.Compile(json.RawMessage(schema))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func problemTexts(err error) []string {
	invalid, ok := errors.AsType[*attune.Error](err)
	if !ok {
		return nil
	}
	var texts []string
	for _, p := range invalid.Problems {
		texts = append(texts, p.String())
	}
	return texts
}
