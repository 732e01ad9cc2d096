package jsonschema

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"attune"
	"attune/internal/nearest"
	"attune/internal/strictjson"
)

// maxProblems bounds what one answer lists.
const maxProblems = 50

// Bounds of the texts of a problem, which have names and values of schemas and documents in them.
const (
	maxPlaceBytes   = 1 << 10
	maxMessageBytes = 1 << 10
)

// unknown is the message about a name that the schema does not allow.
const unknown = "is unknown"

// flatten turns the library's tree of errors about a schema into a flat list.
func flatten(field string, e *santhosh.ValidationError) []attune.Problem {
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
		all = append(all, flatten(field, cause)...)
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

// alternatives says why a value fits none of several schemas, or more than one.
func alternatives(at, field string, e *santhosh.ValidationError) string {
	if one, ok := e.ErrorKind.(*kind.OneOf); ok && len(one.Subschemas) > 1 {
		return fmt.Sprintf("fits the forms %d and %d, and must fit one alone", one.Subschemas[0]+1, one.Subschemas[1]+1)
	}
	var reasons []string
	for _, cause := range e.Causes {
		for _, p := range flatten(field, cause) {
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

// suggest adds the known name that it resembles to each unknown name below field. A known name may be unknown, too,
// when the part of the schema that names it fails; then that failure is the problem, and this one is dropped.
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

// collectNames collects the properties that a schema names for one object. Compile has made sure that it ends.
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

// tidy sorts the problems, drops repetitions and bounds their number and their length.
func tidy(all []attune.Problem) []attune.Problem {
	for i, p := range all {
		all[i].Field, all[i].Message = strictjson.Cut(p.Field, maxPlaceBytes), strictjson.Cut(p.Message, maxMessageBytes)
	}
	slices.SortStableFunc(all, func(a, b attune.Problem) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	all = slices.Compact(all)
	if len(all) > maxProblems {
		all = append(all[:maxProblems], attune.Problem{Message: "and more"})
	}
	return all
}
