package jsonschema

import (
	"errors"
	"strconv"
	"strings"

	"attune"
	"attune/internal/strictjson"
)

// decode reads one JSON value. The error is an *attune.Error that names the place below field.
func decode(field string, raw []byte) (any, error) {
	value, err := strictjson.Decode(raw)
	if refused, ok := errors.AsType[*strictjson.Error](err); ok {
		problem := attune.Problem{Field: below(field, refused.Path), Message: refused.Err.Error()}
		return nil, attune.Invalid("the JSON cannot be read", problem)
	}
	return value, err
}

// below is the path of a value whose path inside the one at field is known.
func below(field, path string) string {
	if path == "" || strings.HasPrefix(path, "[") {
		return field + path
	}
	return member(field, path)
}

// member is the path of an object's member.
func member(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// item is the path of a list's item, counted from 0.
func item(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
