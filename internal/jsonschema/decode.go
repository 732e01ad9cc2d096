package jsonschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"attune"
)

// Bounds of a JSON document. They are far beyond what an action needs and keep hostile input cheap.
const (
	// maxDepth is how deep objects and lists may nest.
	maxDepth = 64
	// maxNumberLength and maxExponent keep exact arithmetic on a number small: 1e999999999 is nine bytes of JSON.
	maxNumberLength = 400
	maxExponent     = 400
)

// decode reads one JSON value. Numbers stay json.Number; an object that names a member twice is refused, because
// readers disagree on which one counts. The error is an *attune.Error that names the place below field.
func decode(field string, raw []byte) (any, error) {
	if !utf8.Valid(raw) {
		return nil, refuse(field, "is not UTF-8")
	}
	d := decoder{json.NewDecoder(bytes.NewReader(raw))}
	d.UseNumber()
	v, err := d.value(field, 0)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = refuse(field, "must be one JSON value, something follows it")
		}
	}
	if err == nil {
		return v, nil
	}
	if e, ok := errors.AsType[*attune.Error](err); ok {
		return nil, e
	}
	return nil, refuse(field, "is not valid JSON: "+strings.TrimPrefix(err.Error(), "json: "))
}

// refuse makes an error with one place.
func refuse(field, message string) *attune.Error {
	return attune.Invalid("the JSON cannot be read", attune.Problem{Field: field, Message: message})
}

type decoder struct{ *json.Decoder }

func (d decoder) value(field string, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, refuse(field, fmt.Sprintf("nests deeper than %d levels", maxDepth))
		}
		if t == '{' {
			return d.object(field, depth)
		}
		return d.list(field, depth)
	case json.Number:
		return t, checkNumber(field, t.String())
	default:
		return t, nil
	}
}

func (d decoder) object(field string, depth int) (any, error) {
	members := map[string]any{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, refuse(field, "has a member without a name")
		}
		if _, twice := members[name]; twice {
			return nil, refuse(member(field, name), "is there twice")
		}
		if members[name], err = d.value(member(field, name), depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return members, err
}

func (d decoder) list(field string, depth int) (any, error) {
	items := []any{}
	for d.More() {
		v, err := d.value(item(field, len(items)), depth+1)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	_, err := d.Token()
	return items, err
}

func checkNumber(field, number string) error {
	_, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	if exponent != "" {
		n, err := strconv.Atoi(exponent)
		if err != nil || n > maxExponent || n < -maxExponent {
			return refuse(field, fmt.Sprintf("is a number with an exponent beyond %d", maxExponent))
		}
	}
	if len(number) > maxNumberLength {
		return refuse(field, fmt.Sprintf("is a number of more than %d characters", maxNumberLength))
	}
	return nil
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
