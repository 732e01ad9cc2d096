package strictjson

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Unmarshal reads a document into a Go value. Unlike encoding/json, it takes a member for a field only where the case
// of the name is the same.
func Unmarshal(text []byte, into any) error {
	document, err := Parse(text)
	if err != nil {
		return err
	}
	return document.Unmarshal(into)
}

// Unmarshal is the function of that name, of a text that has been read.
func (d *Document) Unmarshal(into any) error {
	// Parse has found what this lets pass.
	err := jsonv2.Unmarshal(d.text, into, jsontext.AllowDuplicateNames(true))
	if semantic, ok := errors.AsType[*jsonv2.SemanticError](err); ok {
		path := slices.Collect(semantic.JSONPointer.Tokens())
		for i := range path {
			path[i] = ShortName(path[i])
		}
		return &Error{
			Path:   strings.Join(path, "."),
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
