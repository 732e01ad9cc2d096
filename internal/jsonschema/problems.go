package jsonschema

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"attune"
	"attune/internal/nearest"
)

// maxProblems bounds what one answer lists.
const maxProblems = 50

// unknown is what a name is that the schema does not allow.
const unknown = "is unknown"

// problems turns the library's tree of failures into one flat list of places.
func problems(field string, e *santhosh.ValidationError) []attune.Problem {
	at := field
	for _, token := range e.InstanceLocation {
		if i, err := strconv.Atoi(token); err == nil {
			at = item(at, i)
		} else {
			at = member(at, token)
		}
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		return each(at, k.Missing, "is required")
	case *kind.DependentRequired:
		return each(at, k.Missing, fmt.Sprintf("is required where %q is given", k.Prop))
	case *kind.AdditionalProperties:
		return each(at, k.Properties, unknown)
	case *kind.PropertyNames:
		return each(at, []string{k.Property}, "is not an allowed name")
	case *kind.AnyOf, *kind.OneOf:
		return []attune.Problem{{Field: at, Message: alternatives(at, field, e)}}
	}
	if len(e.Causes) == 0 {
		return []attune.Problem{{Field: at, Message: sentence(e.ErrorKind)}}
	}
	var all []attune.Problem
	for _, cause := range e.Causes {
		all = append(all, problems(field, cause)...)
	}
	return all
}

func each(field string, names []string, text string) []attune.Problem {
	var all []attune.Problem
	for _, name := range names {
		all = append(all, attune.Problem{Field: member(field, name), Message: text})
	}
	return all
}

// alternatives says why none of several schemas fits: their own words where all are about the same place.
func alternatives(at, field string, e *santhosh.ValidationError) string {
	if one, ok := e.ErrorKind.(*kind.OneOf); ok && len(one.Subschemas) > 1 {
		return fmt.Sprintf("fits the forms %d and %d, and must fit one alone", one.Subschemas[0]+1, one.Subschemas[1]+1)
	}
	var reasons []string
	for _, cause := range e.Causes {
		for _, p := range problems(field, cause) {
			if p.Field != at {
				p.Message = strings.TrimPrefix(p.Field, at+".") + " " + p.Message
			}
			if !slices.Contains(reasons, p.Message) {
				reasons = append(reasons, p.Message)
			}
		}
	}
	if len(reasons) > 6 {
		reasons = append(reasons[:6], "…")
	}
	return "fits none of the allowed forms: " + strings.Join(reasons, "; or ")
}

// suggest adds to each unknown name below field the known one that it resembles. A known name is reported unknown when
// the part of the schema that names it has failed; then that failure is the problem, and this one is dropped.
func suggest(field string, schema *santhosh.Schema, all []attune.Problem) []attune.Problem {
	known := map[string]bool{}
	collectNames(schema, known)
	var kept []attune.Problem
	for _, p := range all {
		name, below := strings.CutPrefix(p.Field, member(field, ""))
		if below && p.Message == unknown {
			if known[name] && len(all) > 1 {
				continue
			}
			if near := nearest.Name(name, slices.Collect(maps.Keys(known))); near != "" && near != name {
				p.Message += fmt.Sprintf("; did you mean %q?", near)
			}
		}
		kept = append(kept, p)
	}
	return kept
}

// collectNames gathers the properties that a schema names for one object. Compile has made sure that it ends.
func collectNames(schema *santhosh.Schema, into map[string]bool) {
	if schema == nil {
		return
	}
	for name := range schema.Properties {
		into[name] = true
	}
	for _, s := range slices.Concat(schema.AllOf, schema.AnyOf, schema.OneOf) {
		collectNames(s, into)
	}
	for _, s := range []*santhosh.Schema{schema.Ref, schema.If, schema.Then, schema.Else} {
		collectNames(s, into)
	}
	for _, s := range schema.DependentSchemas {
		collectNames(s, into)
	}
}

// tidy sorts the problems, drops repetitions and bounds their number.
func tidy(all []attune.Problem) []attune.Problem {
	slices.SortStableFunc(all, func(a, b attune.Problem) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	all = slices.Compact(all)
	if left := len(all) - maxProblems; left > 0 {
		all = append(all[:maxProblems], attune.Problem{Message: fmt.Sprintf("and %d more", left)})
	}
	return all
}

// sentence says in a person's words what a value must be.
func sentence(k santhosh.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return typeSentence(k)
	case *kind.Enum:
		return "must be one of " + list(k.Want)
	case *kind.Const:
		return "must be " + list([]any{k.Want})
	case *kind.FalseSchema:
		return unknown
	case *kind.Not:
		return `is a value that the schema excludes with "not"`
	case *kind.Pattern:
		return fmt.Sprintf("must match the pattern %s", k.Want)
	case *kind.Format:
		return "must be a valid " + k.Want
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d characters, has %d", k.Want, k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters, has %d", k.Want, k.Got)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d items, has %d", k.Want, k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d items, has %d", k.Want, k.Got)
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %d members, has %d", k.Want, k.Got)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %d members, has %d", k.Want, k.Got)
	case *kind.UniqueItems:
		return fmt.Sprintf("must not repeat an item: items %d and %d are equal", k.Duplicates[0], k.Duplicates[1])
	case *kind.Minimum:
		return "must be at least " + number(k.Want)
	case *kind.Maximum:
		return "must be at most " + number(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be greater than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + number(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + number(k.Want)
	default:
		return k.LocalizedString(message.NewPrinter(language.English))
	}
}

func typeSentence(k *kind.Type) string {
	want := make([]string, len(k.Want))
	for i, w := range k.Want {
		want[i] = word(w)
	}
	text := "must be " + strings.Join(want, " or ")
	if k.Got == "number" && slices.Contains(k.Want, "integer") {
		return text
	}
	return text + ", is " + word(k.Got)
}

// word is what a person calls a JSON type.
func word(jsonType string) string {
	switch jsonType {
	case "string", "number":
		return "a " + jsonType
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "an object"
	default:
		return jsonType
	}
}

func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	default:
		return "number"
	}
}

func list(values []any) string {
	texts := make([]string, 0, len(values))
	for _, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			text = []byte("…")
		}
		texts = append(texts, string(text))
	}
	if len(texts) > 20 {
		texts = append(texts[:20], "…")
	}
	return strings.Join(texts, ", ")
}

// number writes an exact number as people do.
func number(r *big.Rat) string {
	digits, exact := r.FloatPrec()
	if !exact || digits > 20 {
		return r.RatString()
	}
	return r.FloatString(digits)
}
