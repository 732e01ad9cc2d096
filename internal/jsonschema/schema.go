package jsonschema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"

	"attune"
	"attune/internal/strictjson"
)

const (
	dialectURL = "https://json-schema.org/draft/2020-12/schema"
	schemaURL  = "attune:schema"
	// maxSchemaBytes bounds a schema's text, and maxSchemaValues what it consists of, names included.
	maxSchemaBytes  = 128 << 10
	maxSchemaValues = 20_000
)

// Schema is a compiled schema. It may be used from several goroutines at once.
type Schema struct {
	// compiled is nil for the schema that accepts everything.
	compiled *santhosh.Schema
	rules    map[*santhosh.Schema]*rules
	// defaults are texts that strictjson has read.
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
	read, err := strictjson.Parse(raw)
	if err != nil {
		return nil, unreadable("", err)
	}
	if read.Next(0) > maxSchemaValues {
		return nil, invalidSchema(attune.Problem{Message: fmt.Sprintf("has more than %d values and names", maxSchemaValues)})
	}
	document := read.Value(0)
	w := walker{root: document, parts: map[string]int{}}
	if bound := w.tooLarge(w.visit("", "", document)); bound != "" {
		return nil, invalidSchema(attune.Problem{Message: bound})
	}
	compiled, problems, err := compile(document)
	if problems = append(w.problems, problems...); len(problems) > 0 {
		return nil, invalidSchema(problems...)
	}
	if err != nil { // a kind of error that the rules above do not find
		return nil, invalidSchema(attune.Problem{Message: "is not a JSON Schema: " + err.Error()})
	}
	s := &Schema{compiled: compiled, rules: map[*santhosh.Schema]*rules{}}
	if err := prepare(compiled, s.rules); err != nil {
		return nil, err
	}
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
			return nil, flatten("", places), nil
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
		text, err := encode(value)
		if err != nil {
			return fmt.Errorf("encode %s: %w", field, err)
		}
		read, err := strictjson.Parse(text)
		if err != nil {
			return fmt.Errorf("read %s: %w", field, err)
		}
		found, err := s.validate(context.Background(), field, s.compiled.Properties[name], read)
		if err != nil {
			found = []attune.Problem{{Field: field, Message: err.Error()}}
		}
		wrong = append(wrong, found...)
		s.defaults[name] = text
	}
	if len(wrong) > 0 {
		return invalidSchema(wrong...)
	}
	return nil
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
