package jsonschema

import (
	"cmp"
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"

	"attune/internal/strictjson"
)

// rules are what a checker needs of a schema in another form than the library has it.
type rules struct {
	types []string
	// enum and constant are the hashes of the values that are accepted; nil accepts all.
	enum, constant map[uint64]bool
	// patternCost and the costs of patterns are the work for each byte of a text.
	patternCost int
	patterns    []namePattern
	// names numbers the members that others depend on, or that must be there; triggers are those that ask for others.
	names    map[string]int
	triggers []string
}

// namePattern is a schema for the members whose names fit a pattern.
type namePattern struct {
	santhosh.Regexp
	schema *santhosh.Schema
	cost   int
}

// prepare adds the rules of a schema and of all that it consists of. Compile has made sure that it ends.
func prepare(s *santhosh.Schema, into map[*santhosh.Schema]*rules) error {
	if s == nil || into[s] != nil {
		return nil
	}
	r := &rules{names: map[string]int{}}
	into[s] = r
	if s.Types != nil {
		r.types = s.Types.ToStrings()
	}
	var err error
	if s.Enum != nil {
		if r.enum, err = hashes(s.Enum.Values); err != nil {
			return err
		}
	}
	if s.Const != nil {
		if r.constant, err = hashes([]any{*s.Const}); err != nil {
			return err
		}
	}
	if s.Pattern != nil {
		r.patternCost = patternCost(s.Pattern.String())
	}
	for pattern, schema := range s.PatternProperties {
		r.patterns = append(r.patterns, namePattern{pattern, schema, patternCost(pattern.String())})
	}
	slices.SortFunc(r.patterns, func(a, b namePattern) int { return cmp.Compare(a.String(), b.String()) })
	triggers := slices.AppendSeq(slices.Collect(maps.Keys(s.DependentSchemas)), maps.Keys(s.DependentRequired))
	slices.Sort(triggers)
	r.triggers = slices.Compact(triggers)
	names := append(slices.Collect(maps.Values(s.DependentRequired)), s.Required, r.triggers)
	for _, name := range slices.Concat(names...) {
		if _, known := r.names[name]; !known {
			r.names[name] = len(r.names)
		}
	}
	for _, part := range parts(s) {
		if err := prepare(part, into); err != nil {
			return err
		}
	}
	return nil
}

// parts are the schemas that a schema consists of.
func parts(s *santhosh.Schema) []*santhosh.Schema {
	all := slices.Concat(s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems)
	for _, named := range []map[string]*santhosh.Schema{s.Properties, s.DependentSchemas} {
		all = slices.AppendSeq(all, maps.Values(named))
	}
	all = slices.AppendSeq(all, maps.Values(s.PatternProperties))
	if others, ok := s.AdditionalProperties.(*santhosh.Schema); ok {
		all = append(all, others)
	}
	return append(all, s.Ref, s.Not, s.If, s.Then, s.Else, s.PropertyNames, s.UnevaluatedProperties, s.Contains,
		s.Items2020, s.UnevaluatedItems)
}

func hashes(values []any) (map[uint64]bool, error) {
	all := make(map[uint64]bool, len(values))
	for _, v := range values {
		text, err := encode(v)
		if err != nil {
			return nil, fmt.Errorf("encode a value of the schema: %w", err)
		}
		document, err := strictjson.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("read a value of the schema: %w", err)
		}
		all[document.Hash(0)] = true
	}
	return all, nil
}

// patternCost is the number of steps in a pattern: matching takes at most that many for each byte of a text.
func patternCost(pattern string) int {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 1 // Compile has refused it
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 1
	}
	return len(program.Inst)
}
