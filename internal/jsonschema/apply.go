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

// Apply checks an object, such as the parameters of an execution, and returns it without white space, with the schema's
// top-level defaults added that it does not have. No text, or null, is an empty object. The error is an *attune.Error
// with one problem for each wrong value, up to maxProblems, or that of ctx; field is what the object is called in it.
func (s *Schema) Apply(ctx context.Context, field string, text json.RawMessage) (json.RawMessage, error) {
	if empty(text) {
		text = json.RawMessage("{}")
	}
	release, err := reserve(ctx, len(text))
	if err != nil {
		return nil, err
	}
	defer release()
	document, err := strictjson.Parse(text)
	if err != nil {
		return nil, unreadable(field, err)
	}
	if document.Kind(0) != strictjson.Object {
		return nil, notAccepted(field,
			attune.Problem{Field: field, Message: "must be an object, is " + word(typeName(document.Kind(0)))})
	}
	filled, more, err := s.fill(document)
	if err != nil {
		return nil, fmt.Errorf("add defaults to %s: %w", field, err)
	}
	if more {
		if err := document.Reset(filled); err != nil {
			return nil, unreadable(field, err)
		}
	}
	if err := s.accept(ctx, field, document); err != nil {
		return nil, err
	}
	return filled, nil
}

// Check checks any JSON value, such as the result of an execution. The error is as that of Apply.
func (s *Schema) Check(ctx context.Context, field string, text json.RawMessage) error {
	release, err := reserve(ctx, len(text))
	if err != nil {
		return err
	}
	defer release()
	document, err := strictjson.Parse(text)
	if err != nil {
		return unreadable(field, err)
	}
	return s.accept(ctx, field, document)
}

func reserve(ctx context.Context, n int) (release func(), err error) {
	release, err = strictjson.Reserve(ctx, n)
	return release, interrupted(err)
}

// interrupted makes the end of a context an error for people, where it ended because of the time.
func interrupted(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &attune.Error{
		Code: attune.CodeUnavailable, Message: "too many large documents are being checked; try again soon", Cause: err,
	}
}

// fill returns the text of an object without white space, with the defaults that it lacks. Every digit stays. more
// reports whether it lacked any.
func (s *Schema) fill(document *strictjson.Document) (filled json.RawMessage, more bool, err error) {
	missing := maps.Clone(s.defaults)
	for name := 1; name < document.Next(0); name = document.Next(name + 1) {
		delete(missing, string(document.Bytes(name)))
	}
	var text bytes.Buffer
	text.Grow(len(document.Raw(0)))
	if err := json.Compact(&text, document.Raw(0)); err != nil {
		return nil, false, err
	}
	text.Truncate(text.Len() - 1)
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		if text.Len() > 1 {
			text.WriteByte(',')
		}
		quoted, err := encode(name)
		if err != nil {
			return nil, false, err
		}
		text.Write(quoted)
		text.WriteByte(':')
		text.Write(missing[name])
	}
	text.WriteByte('}')
	return text.Bytes(), len(missing) > 0, nil
}

func (s *Schema) accept(ctx context.Context, field string, document *strictjson.Document) error {
	wrong, err := s.validate(ctx, field, s.compiled, document)
	if errors.Is(err, errTooMuchWork) {
		return notAccepted(field, attune.Problem{Field: field, Message: err.Error()})
	}
	if err != nil {
		return interrupted(err)
	}
	if len(wrong) > 0 {
		return notAccepted(field, wrong...)
	}
	return nil
}

// validate returns what is wrong with a document, and errTooMuchWork or the error of ctx when that is not known.
func (s *Schema) validate(
	ctx context.Context, field string, schema *santhosh.Schema, document *strictjson.Document,
) ([]attune.Problem, error) {
	if schema == nil {
		return nil, nil
	}
	c := &checker{ctx: ctx, doc: document, rules: s.rules, field: field}
	if c.value(schema, 0, nil, nil) || c.err != nil {
		return nil, c.err
	}
	found := &problems{most: maxProblems + 1} // one more shows that there are more
	c.value(schema, 0, nil, found)
	return suggest(field, schema, found.all), c.err
}
