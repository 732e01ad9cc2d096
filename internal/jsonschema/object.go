package jsonschema

import (
	"fmt"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// object checks the members of object n.
func (c *checker) object(s *santhosh.Schema, n int, seen *marks, to *problems) bool {
	ok := c.size(s.MinProperties, s.MaxProperties, c.doc.Len(n), to,
		func(want, got int) santhosh.ErrorKind { return &kind.MinProperties{Want: want, Got: got} },
		func(want, got int) santhosh.ErrorKind { return &kind.MaxProperties{Want: want, Got: got} })
	if !ok && to.full() {
		return false
	}
	r := c.rules[s]
	has := make([]bool, len(r.names))
	for i, name := 0, n+1; i < c.doc.Len(n); i, name = i+1, c.doc.Next(name+1) {
		text := c.doc.Bytes(name)
		if known, found := r.names[string(text)]; found {
			has[known] = true
		}
		looked, fits := c.member(s, r, name, text, to)
		if looked {
			seen.set(i)
		}
		if ok = ok && fits; !ok && to.full() || c.err != nil {
			return false
		}
	}
	return c.spend(len(has)) && c.needed(s, r, n, has, seen, to) && ok
}

// member checks a member by its name, whose content is text. looked reports whether the schema says anything about it.
func (c *checker) member(s *santhosh.Schema, r *rules, name int, text []byte, to *problems) (looked, ok bool) {
	ok = true
	if schema, named := s.Properties[string(text)]; named {
		looked, ok = true, c.inside(name, schema, name+1, to)
	}
	for _, p := range r.patterns {
		if !c.spend(p.cost * len(text)) {
			return looked, false
		}
		if p.MatchString(string(text)) {
			looked, ok = true, c.inside(name, p.schema, name+1, to) && ok
		}
	}
	if !looked && s.AdditionalProperties != nil {
		looked = true
		switch others := s.AdditionalProperties.(type) {
		case bool:
			ok = others || c.addMember(to, string(text), unknown)
		case *santhosh.Schema:
			ok = c.inside(name, others, name+1, to)
		}
	}
	if s.PropertyNames != nil && !c.value(s.PropertyNames, name, nil, nil) {
		ok = c.addMember(to, string(text), "is not an allowed name")
	}
	return looked, ok
}

// needed checks what the presence of members asks for. has says which of the names that the schema speaks of are there.
func (c *checker) needed(s *santhosh.Schema, r *rules, n int, has []bool, seen *marks, to *problems) bool {
	ok := c.required(r, s.Required, has, to, "is required")
	for _, name := range r.triggers {
		if !has[r.names[name]] || !ok && to.full() {
			continue
		}
		others := s.DependentRequired[name]
		ok = c.spend(len(others)) &&
			c.required(r, others, has, to, fmt.Sprintf("is required where %q is given", name)) && ok
		if schema := s.DependentSchemas[name]; schema != nil && (ok || !to.full()) {
			ok = c.value(schema, n, seen, to) && ok
		}
	}
	return ok
}

func (c *checker) required(r *rules, names []string, has []bool, to *problems, text string) bool {
	ok := true
	for _, name := range names {
		if has[r.names[name]] {
			continue
		}
		if ok = false; to.full() {
			return false
		}
		c.addMember(to, name, text)
	}
	return ok
}

// size checks a number of members, items or characters.
func (c *checker) size(
	least, most *int, got int, to *problems, below, above func(want, got int) santhosh.ErrorKind,
) bool {
	if least != nil && got < *least {
		return c.add(to, sentenceOf(below(*least, got)))
	}
	if most != nil && got > *most {
		return c.add(to, sentenceOf(above(*most, got)))
	}
	return true
}
