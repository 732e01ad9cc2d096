package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Check reads a document and keeps nothing of it.
func Check(text []byte) error {
	r, err := newReader(text)
	for err == nil {
		_, err = r.next()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Decode returns a document as map[string]any, []any, string, json.Number, bool or nil.
func Decode(text []byte) (any, error) {
	r, err := newReader(text)
	if err != nil {
		return nil, err
	}
	value, err := r.value()
	if err != nil {
		return nil, err
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		return nil, err
	}
	return value, nil
}

// Unmarshal reads a document into a Go value. Unlike encoding/json, it takes a member for a field only where the case
// of the name is the same.
func Unmarshal(text []byte, into any) error {
	if err := Check(text); err != nil {
		return err
	}
	// Check has found what these two let pass.
	options := []jsonv2.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}
	err := jsonv2.Unmarshal(text, into, options...)
	if semantic, ok := errors.AsType[*jsonv2.SemanticError](err); ok {
		return &Error{
			Path:   strings.Join(slices.Collect(semantic.JSONPointer.Tokens()), "."),
			Offset: semantic.ByteOffset,
			Err:    fmt.Errorf("%w: %s", ErrType, typeNames[semantic.JSONKind]),
		}
	}
	return err
}

var typeNames = map[jsontext.Kind]string{
	jsontext.KindNull: "null", jsontext.KindTrue: "boolean", jsontext.KindFalse: "boolean",
	jsontext.KindString: "string", jsontext.KindNumber: "number",
	jsontext.KindBeginArray: "array", jsontext.KindBeginObject: "object",
}

func (r *reader) value() (any, error) {
	token, err := r.next()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case jsontext.KindBeginObject:
		return r.object()
	case jsontext.KindBeginArray:
		return r.list()
	case jsontext.KindString:
		return token.String(), nil
	case jsontext.KindNumber:
		return json.Number(token.String()), nil
	case jsontext.KindTrue, jsontext.KindFalse:
		return token.Bool(), nil
	default:
		return nil, nil
	}
}

func (r *reader) object() (any, error) {
	members := map[string]any{}
	for {
		token, err := r.next()
		if err != nil || token.Kind() == jsontext.KindEndObject {
			return members, err
		}
		name := token.String()
		if members[name], err = r.value(); err != nil {
			return nil, err
		}
	}
}

func (r *reader) list() (any, error) {
	items := []any{}
	for r.tokens.PeekKind() != jsontext.KindEndArray {
		item, err := r.value()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, err := r.next()
	return items, err
}
