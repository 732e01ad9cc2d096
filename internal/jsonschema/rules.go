package jsonschema

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"attune"
	"attune/internal/nearest"
)

// maxParts bounds a schema with every $ref replaced by its target. A schema of thirty lines, each of which refers
// to the next one twice, would otherwise keep a processor busy for minutes with one document.
const maxParts = 2000

// maxPatternCost bounds the patterns of a schema together; each byte of a text can cost as many steps.
const maxPatternCost = 20_000

// maxPaths bounds the paths of all parts of a schema together, in bytes: the library keeps one for each part, with the
// names of all objects around it.
const maxPaths = 2 << 20

// shape says what a keyword's value holds.
type shape int

const (
	plain   shape = iota // no schema inside
	one                  // a schema
	several              // a list of schemas
	named                // an object of schemas
	aside                // an object of schemas that count only where a $ref uses them
	refused              // valid JSON Schema that is not taken here
)

var keywords = map[string]shape{
	"$schema": plain, "$ref": plain, "$comment": plain, "$defs": aside, "definitions": aside,
	"$id": refused, "$anchor": refused, "$dynamicRef": refused, "$dynamicAnchor": refused, "$vocabulary": refused,
	"type": plain, "enum": plain, "const": plain, "format": plain, "pattern": plain,
	"minLength": plain, "maxLength": plain, "contentEncoding": plain, "contentMediaType": plain, "contentSchema": one,
	"minimum": plain, "maximum": plain, "exclusiveMinimum": plain, "exclusiveMaximum": plain, "multipleOf": plain,
	"properties": named, "patternProperties": named, "additionalProperties": one, "propertyNames": one,
	"unevaluatedProperties": one, "required": plain, "minProperties": plain, "maxProperties": plain,
	"dependentRequired": plain, "dependentSchemas": named,
	"items": one, "prefixItems": several, "contains": one, "minContains": plain, "maxContains": plain,
	"minItems": plain, "maxItems": plain, "uniqueItems": plain, "unevaluatedItems": one,
	"allOf": several, "anyOf": several, "oneOf": several, "not": one, "if": one, "then": one, "else": one,
	"title": plain, "description": plain, "default": plain, "examples": plain, "deprecated": plain,
	"readOnly": plain, "writeOnly": plain,
}

// walker applies the rules that JSON Schema itself does not have: no misspelled keywords, no reference to another
// document, no recursion, bounded size.
type walker struct {
	root     any
	problems []attune.Problem
	// parts is the unfolded size of the schema at a JSON pointer; 0 while it is being visited.
	parts map[string]int
	// patternCost is that of all patterns, paths the length of all paths.
	patternCost, paths int
}

func (w *walker) problem(field, format string, args ...any) {
	if len(w.problems) > maxProblems {
		return
	}
	w.problems = append(w.problems, attune.Problem{Field: field, Message: fmt.Sprintf(format, args...)})
}

// visit checks the schema at pointer and returns its unfolded size, at most maxParts+1.
func (w *walker) visit(pointer, field string, schema any) int {
	if parts, seen := w.parts[pointer]; seen {
		if parts == 0 {
			w.problem(field, "refers to itself; a recursive schema is not supported")
			return maxParts + 1
		}
		return parts
	}
	members, ok := schema.(map[string]any)
	if !ok {
		return 1 // true, false, or nothing that the meta-schema lets pass
	}
	if w.paths += len(pointer); w.paths > maxPaths {
		return maxParts + 1
	}
	w.parts[pointer] = 0
	parts := 1
	for _, keyword := range slices.Sorted(maps.Keys(members)) {
		if w.paths > maxPaths {
			break
		}
		parts += w.keyword(pointer+"/"+escape(keyword), member(field, keyword), keyword, members)
		parts = min(parts, maxParts+1)
	}
	w.parts[pointer] = parts
	return parts
}

func (w *walker) keyword(pointer, field, keyword string, members map[string]any) int {
	value := members[keyword]
	kind, known := keywords[keyword]
	switch {
	case strings.HasPrefix(keyword, "x-"):
		return 0
	case !known:
		w.unknown(field, keyword)
		return 0
	case kind == refused:
		w.problem(field, `is not supported; put shared parts below $defs and refer to them with $ref: "#/$defs/<name>"`)
		return 0
	case keyword == "$ref":
		return w.reference(field, value)
	case keyword == "$schema":
		w.dialect(field, value)
	case keyword == "pattern":
		w.pattern(field, value)
	}
	return w.children(kind, keyword == "patternProperties", pointer, field, value)
}

// tooLarge says which bound of its size the schema exceeds, or nothing. parts is what visit returned.
func (w *walker) tooLarge(parts int) string {
	switch {
	case w.paths > maxPaths:
		return "has names that are too long for so many parts: the paths of all parts have more than 2 MiB together"
	case w.patternCost > maxPatternCost:
		return fmt.Sprintf("has patterns of more than %d steps together, as RE2 counts them", maxPatternCost)
	case parts > maxParts && len(w.problems) == 0:
		return fmt.Sprintf("has more than %d parts once every $ref is replaced by what it refers to", maxParts)
	default:
		return ""
	}
}

// children visits the schemas in a keyword's value and adds up their sizes.
func (w *walker) children(kind shape, patterns bool, pointer, field string, value any) int {
	parts := 0
	switch value := value.(type) {
	case map[string]any:
		if kind == one {
			return w.visit(pointer, field, value)
		}
		if kind != named && kind != aside {
			return 0
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if w.paths > maxPaths {
				break
			}
			if patterns {
				w.pattern(member(field, name), name)
			}
			parts += w.visit(pointer+"/"+escape(name), member(field, name), value[name])
		}
	case []any:
		for i := 0; kind == several && i < len(value) && w.paths <= maxPaths; i++ {
			parts += w.visit(pointer+"/"+strconv.Itoa(i), item(field, i), value[i])
		}
	}
	if kind == aside {
		return 0
	}
	return parts
}

func (w *walker) unknown(field, keyword string) {
	if near := nearest.Name(keyword, slices.Collect(maps.Keys(keywords))); near != "" {
		w.problem(field, "is not a keyword of JSON Schema; did you mean %q?", near)
		return
	}
	w.problem(field, `is not a keyword of JSON Schema; parameters are named below "properties"`)
}

func (w *walker) dialect(field string, value any) {
	if s, _ := value.(string); strings.TrimSuffix(s, "#") != dialectURL {
		w.problem(field, "must be %q or left out", dialectURL)
	}
}

func (w *walker) pattern(field string, value any) {
	if s, ok := value.(string); ok {
		if _, err := regexp.Compile(s); err != nil {
			w.problem(field, "is not a regular expression (RE2 syntax): %v", err)
		}
		w.patternCost += patternCost(s)
	}
}

// reference follows a $ref within the same document.
func (w *walker) reference(field string, value any) int {
	target, ok := value.(string)
	if !ok {
		return 0 // the meta-schema says so
	}
	fragment, local := strings.CutPrefix(target, "#")
	pointer, err := url.PathUnescape(fragment)
	if !local || err != nil || (pointer != "" && !strings.HasPrefix(pointer, "/")) {
		w.problem(field, `must point into this schema, such as "#/$defs/<name>"; nothing is loaded from elsewhere`)
		return 0
	}
	schema, ok := lookup(w.root, pointer)
	if !ok {
		w.problem(field, "points at %q, and nothing is there", target)
		return 0
	}
	return w.visit(pointer, field, schema)
}

// lookup finds what a JSON pointer points at.
func lookup(v any, pointer string) (any, bool) {
	if pointer == "" {
		return v, true
	}
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[token]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(at) {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// escape makes a name a token of a JSON pointer.
func escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
