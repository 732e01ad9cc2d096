package jsonschema

import (
	"errors"
	"strconv"
	"strings"

	"attune"
	"attune/internal/strictjson"
)

// unreadable makes an *attune.Error of what strictjson says about the value called field.
func unreadable(field string, err error) error {
	refused, ok := errors.AsType[*strictjson.Error](err)
	if !ok {
		return err
	}
	problem := attune.Problem{Field: below(field, refused.Path), Message: refused.Err.Error()}
	return attune.Invalid("the JSON cannot be read", problem)
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
