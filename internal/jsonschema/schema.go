package jsonschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"

	"attune"
)

const (
	dialectURL = "https://json-schema.org/draft/2020-12/schema"
	schemaURL  = "attune:schema"
	// maxSchemaBytes bounds a schema's text.
	maxSchemaBytes = 128 << 10
)

// Schema is a compiled schema. It may be used from several goroutines at once.
type Schema struct {
	// compiled is nil for the schema that accepts everything.
	compiled *santhosh.Schema
	defaults map[string]json.RawMessage
}

// Compile reads a schema; no text, or null, gives one that accepts everything. The error is an *attune.Error with one
// problem for each wrong value, its Field the dotted path inside the schema.
func Compile(raw json.RawMessage) (*Schema, error) {
	if empty(raw) {
		return &Schema{}, nil
	}
	if len(raw) > maxSchemaBytes {
		return nil, invalidSchema(attune.Problem{Message: fmt.Sprintf("is larger than %d KiB", maxSchemaBytes>>10)})
	}
	document, err := decode("", raw)
	if err != nil {
		return nil, err
	}
	w := walker{root: document, parts: map[string]int{}}
	if w.visit("", "", document) > maxParts && len(w.problems) == 0 {
		w.problem("", "has more than %d parts once every $ref is replaced by what it refers to", maxParts)
	}
	compiled, problems, err := compile(document)
	if problems = append(w.problems, problems...); len(problems) > 0 {
		return nil, invalidSchema(problems...)
	}
	if err != nil { // a kind of error that the rules above do not find
		return nil, invalidSchema(attune.Problem{Message: "is not a JSON Schema: " + err.Error()})
	}
	s := &Schema{compiled: compiled}
	if err := s.readDefaults(document); err != nil {
		return nil, err
	}
	return s, nil
}

// compile checks the document against the meta-schema, which gives problems, and prepares it.
func compile(document any) (*santhosh.Schema, []attune.Problem, error) {
	c := santhosh.NewCompiler()
	c.DefaultDraft(santhosh.Draft2020)
	c.UseLoader(santhosh.SchemeURLLoader{})
	c.AssertFormat()
	if err := c.AddResource(schemaURL, closed(document)); err != nil {
		return nil, nil, err
	}
	compiled, err := c.Compile(schemaURL)
	if err == nil {
		return compiled, nil, nil
	}
	if invalid, ok := errors.AsType[*santhosh.SchemaValidationError](err); ok {
		if places, ok := errors.AsType[*santhosh.ValidationError](invalid.Err); ok {
			return nil, problems("", places), nil
		}
	}
	return nil, nil, err
}

// closed returns a schema that has properties with all other properties refused, unless it says otherwise itself.
func closed(document any) any {
	members, ok := document.(map[string]any)
	if !ok || members["properties"] == nil {
		return document
	}
	for _, keyword := range []string{"additionalProperties", "unevaluatedProperties"} {
		if _, says := members[keyword]; says {
			return document
		}
	}
	members = maps.Clone(members)
	members["unevaluatedProperties"] = false // unlike additionalProperties, it sees what allOf and $ref name
	return members
}

// readDefaults keeps the defaults of the top level and checks them against their own schemas.
func (s *Schema) readDefaults(document any) error {
	s.defaults = map[string]json.RawMessage{}
	var wrong []attune.Problem
	for _, name := range slices.Sorted(maps.Keys(s.compiled.Properties)) {
		value, ok := lookup(document, "/properties/"+escape(name)+"/default")
		if !ok {
			continue
		}
		field := member(member("properties", name), "default")
		wrong = append(wrong, validate(field, s.compiled.Properties[name], value)...)
		text, err := encode(value)
		if err != nil {
			return fmt.Errorf("encode %s: %w", field, err)
		}
		s.defaults[name] = text
	}
	if len(wrong) > 0 {
		return invalidSchema(wrong...)
	}
	return nil
}

// Apply checks an object, such as the parameters of an execution, and returns it with the schema's top-level defaults
// filled in. No text, or null, is an empty object. The error is an *attune.Error with one problem for each wrong value;
// field is what the object is called in it.
func (s *Schema) Apply(field string, doc json.RawMessage) (json.RawMessage, error) {
	if empty(doc) {
		doc = json.RawMessage("{}")
	}
	decoded, err := decode(field, doc)
	if err != nil {
		return nil, err
	}
	values, ok := decoded.(map[string]any)
	if !ok {
		return nil, notAccepted(field,
			attune.Problem{Field: field, Message: "must be an object, is " + word(typeOf(decoded))})
	}
	var texts map[string]json.RawMessage // the text as it was sent, which keeps every digit
	if err := json.Unmarshal(doc, &texts); err != nil {
		return nil, fmt.Errorf("read %s again: %w", field, err)
	}
	for name, text := range s.defaults {
		if _, given := values[name]; given {
			continue
		}
		texts[name] = text
		if values[name], err = decode(field, text); err != nil {
			return nil, err
		}
	}
	if wrong := validate(field, s.compiled, values); len(wrong) > 0 {
		return nil, notAccepted(field, wrong...)
	}
	return encode(texts)
}

// Check checks any JSON value, such as the result of an execution.
func (s *Schema) Check(field string, doc json.RawMessage) error {
	decoded, err := decode(field, doc)
	if err != nil {
		return err
	}
	if wrong := validate(field, s.compiled, decoded); len(wrong) > 0 {
		return notAccepted(field, wrong...)
	}
	return nil
}

func validate(field string, schema *santhosh.Schema, value any) []attune.Problem {
	if schema == nil {
		return nil
	}
	err := schema.Validate(value)
	if err == nil {
		return nil
	}
	if places, ok := errors.AsType[*santhosh.ValidationError](err); ok {
		return suggest(field, schema, problems(field, places))
	}
	return []attune.Problem{{Field: field, Message: err.Error()}}
}

func empty(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}

// encode writes JSON without turning <, > and & into escapes.
func encode(v any) (json.RawMessage, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(text.Bytes()), err
}

func invalidSchema(problems ...attune.Problem) *attune.Error {
	return attune.Invalid("the schema is not valid", tidy(problems)...)
}

func notAccepted(field string, problems ...attune.Problem) *attune.Error {
	return attune.Invalid("the schema does not accept the "+field, tidy(problems)...)
}
