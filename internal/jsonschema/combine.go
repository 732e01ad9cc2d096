package jsonschema

import (
	"fmt"
	"slices"
	"strings"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"attune/internal/strictjson"
)

// combined checks value n against the schemas that another one combines.
func (c *checker) combined(s *santhosh.Schema, n int, seen *marks, to *problems) bool {
	ok := s.Not == nil || !c.value(s.Not, n, nil, nil) || c.add(to, sentenceOf(&kind.Not{}))
	for _, part := range s.AllOf {
		if !ok && to.full() {
			return false
		}
		ok = c.value(part, n, seen, to) && ok
	}
	if len(s.AnyOf) > 0 && (ok || !to.full()) {
		ok = c.anyOf(s.AnyOf, n, seen, to) && ok
	}
	if len(s.OneOf) > 0 && (ok || !to.full()) {
		ok = c.oneOf(s.OneOf, n, seen, to) && ok
	}
	if s.If != nil && (ok || !to.full()) {
		branch := s.Else
		if c.try(s.If, n, seen) {
			branch = s.Then
		}
		ok = (branch == nil || c.value(branch, n, seen, to)) && ok
	}
	return ok && c.err == nil
}

// try reports whether a schema accepts value n. Only then seen gets what it has looked at.
func (c *checker) try(s *santhosh.Schema, n int, seen *marks) bool {
	var own *marks
	if seen != nil && c.spend(c.doc.Len(n)/64) {
		own = newMarks(c.doc.Len(n))
	}
	ok := c.value(s, n, own, nil)
	if ok {
		seen.merge(own)
	}
	return ok
}

func (c *checker) anyOf(forms []*santhosh.Schema, n int, seen *marks, to *problems) bool {
	fits := false
	for _, form := range forms {
		if c.try(form, n, seen) {
			if fits = true; seen == nil {
				return true
			}
		}
	}
	return fits || c.add(to, func() string { return c.reasons(forms, n) })
}

func (c *checker) oneOf(forms []*santhosh.Schema, n int, seen *marks, to *problems) bool {
	fits := -1
	for i, form := range forms {
		if !c.try(form, n, seen) {
			continue
		}
		if fits >= 0 {
			return c.add(to, func() string {
				return fmt.Sprintf("fits the forms %d and %d, and must fit one alone", fits+1, i+1)
			})
		}
		fits = i
	}
	return fits >= 0 || c.add(to, func() string { return c.reasons(forms, n) })
}

// maxReasons bounds what is said about a value that fits none of several forms.
const maxReasons = 6

// reasons says why value n fits none of several forms.
func (c *checker) reasons(forms []*santhosh.Schema, n int) string {
	var reasons []string
	at := c.place()
	for _, form := range forms {
		found := &problems{most: maxReasons + 1}
		c.value(form, n, nil, found)
		for _, p := range found.all {
			text := p.Message
			if p.Field != at {
				text = strings.TrimPrefix(p.Field, at+".") + " " + text
			}
			if !slices.Contains(reasons, text) {
				reasons = append(reasons, text)
			}
		}
		if len(reasons) > maxReasons {
			reasons = append(reasons[:maxReasons], "…")
			break
		}
	}
	return "fits none of the allowed forms: " + strings.Join(reasons, "; or ")
}

// unseen checks the members or items of value n that nothing in the schema has looked at.
func (c *checker) unseen(s *santhosh.Schema, n int, seen *marks, to *problems) bool {
	object := c.doc.Kind(n) == strictjson.Object
	schema := s.UnevaluatedItems
	if object {
		schema = s.UnevaluatedProperties
	}
	if schema == nil {
		return true
	}
	ok := true
	for i, at := 0, n+1; i < c.doc.Len(n); i++ {
		step, value := -1-i, at
		if object {
			step, value = at, at+1
		}
		if !seen.has(i) {
			ok = c.inside(step, schema, value, to) && ok
			seen.set(i)
		}
		if !ok && to.full() || c.err != nil {
			return false
		}
		at = c.doc.Next(value)
	}
	return ok
}
