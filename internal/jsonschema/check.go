package jsonschema

import (
	"context"
	"errors"
	"math/big"
	"strconv"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"attune"
	"attune/internal/strictjson"
)

// maxWork bounds what checking one document may cost, about three seconds on one processor. A unit is a few
// nanoseconds; looking at a value with one schema costs lookWork of them.
const (
	maxWork  = 400_000_000
	lookWork = 20
)

var errTooMuchWork = errors.New("takes too long to check against the schema: it has too many values for so many " +
	"parts and patterns")

// checker checks a document against a schema. The library reads schemas; it cannot check hostile documents, since it
// keeps an error for each wrong value and each form that does not fit, and nothing ends it early.
//
// The methods that check report whether a value is accepted. Where problems is nil, they stop at the first thing that
// is wrong. Each of them ends early once err is set.
type checker struct {
	ctx   context.Context
	doc   *strictjson.Document
	rules map[*santhosh.Schema]*rules
	// field is what the document is called, steps lead from there to the value that is being checked: each is the number
	// of a member's name, or -1 minus the index of an item.
	field string
	steps []int
	work  int
	// exact is the number that is being checked.
	exact big.Rat
	// err is why the check cannot go on.
	err error
}

// problems are what is wrong with a document, up to a bound.
type problems struct {
	all  []attune.Problem
	most int
}

// add notes a problem with the value that is being checked, and reports false: the value is not accepted.
func (c *checker) add(to *problems, text func() string) bool { return c.note(to, c.place, text) }

// addMember notes a problem with a member of the value that is being checked.
func (c *checker) addMember(to *problems, name, text string) bool {
	place := func() string { return member(c.place(), strictjson.ShortName(name)) }
	return c.note(to, place, func() string { return text })
}

func (c *checker) note(to *problems, place, text func() string) bool {
	if !to.full() {
		to.all = append(to.all, attune.Problem{Field: place(), Message: text()})
	}
	return false
}

// full reports whether there is no sense in looking for more.
func (p *problems) full() bool { return p == nil || len(p.all) >= p.most }

// place is the path of the value that is being checked.
func (c *checker) place() string {
	at := c.field
	for _, step := range c.steps {
		if step < 0 {
			at = item(at, -1-step)
		} else {
			at = member(at, strictjson.ShortName(c.doc.String(step)))
		}
	}
	return at
}

// spend counts work and reports whether there is any left.
func (c *checker) spend(n int) bool {
	before := c.work
	c.work += n
	switch {
	case c.err != nil:
	case c.work > maxWork:
		c.err = errTooMuchWork
	case before>>20 != c.work>>20 && c.ctx.Err() != nil:
		c.err = context.Cause(c.ctx)
	}
	return c.err == nil
}

// value checks value n against a schema. seen, unless nil, gets the members or items of n that the schema has looked
// at.
func (c *checker) value(s *santhosh.Schema, n int, seen *marks, to *problems) bool {
	if !c.spend(lookWork) {
		return false
	}
	if s.Bool != nil {
		return *s.Bool || c.add(to, sentenceOf(&kind.FalseSchema{}))
	}
	if !c.fixed(s, n, to) {
		return false
	}
	own := seen
	if s.UnevaluatedProperties != nil || s.UnevaluatedItems != nil {
		own = newMarks(c.doc.Len(n))
	}
	ok := s.Ref == nil || c.value(s.Ref, n, own, to)
	if ok || !to.full() {
		ok = c.content(s, n, own, to) && ok
	}
	if ok || !to.full() {
		ok = c.combined(s, n, own, to) && ok
	}
	if ok || !to.full() {
		ok = c.unseen(s, n, own, to) && ok
	}
	seen.merge(own)
	return ok && c.err == nil
}

// fixed checks what makes everything else pointless to look at: the type, the listed values and the format.
func (c *checker) fixed(s *santhosh.Schema, n int, to *problems) bool {
	r := c.rules[s]
	if r.types != nil && !c.hasType(r.types, n) {
		return c.add(to, sentenceOf(&kind.Type{Got: typeName(c.doc.Kind(n)), Want: r.types}))
	}
	if r.constant != nil && !c.listed(r.constant, n) {
		return c.add(to, sentenceOf(&kind.Const{Want: *s.Const}))
	}
	if r.enum != nil && !c.listed(r.enum, n) {
		return c.add(to, sentenceOf(&kind.Enum{Want: s.Enum.Values}))
	}
	if s.Format != nil && c.doc.Kind(n) == strictjson.String {
		text := c.doc.String(n)
		if len(text) > maxFormatBytes {
			return c.add(to, func() string {
				return "is longer than the " + strconv.Itoa(maxFormatBytes) + " bytes that a value with a format may have"
			})
		}
		if c.spend(len(text)) && s.Format.Validate(text) != nil {
			return c.add(to, sentenceOf(&kind.Format{Want: s.Format.Name}))
		}
	}
	return true
}

// maxFormatBytes bounds a text whose format is checked.
const maxFormatBytes = 64 << 10

func (c *checker) hasType(types []string, n int) bool {
	is := typeName(c.doc.Kind(n))
	for _, t := range types {
		if t == is || t == "integer" && is == "number" && c.doc.IsWhole(n) {
			return true
		}
	}
	return false
}

// listed reports whether value n is one of those with the given hashes.
func (c *checker) listed(values map[uint64]bool, n int) bool {
	return c.spend(c.doc.Next(n)-n) && values[c.doc.Hash(n)]
}

func (c *checker) content(s *santhosh.Schema, n int, seen *marks, to *problems) bool {
	switch c.doc.Kind(n) {
	case strictjson.Object:
		return c.object(s, n, seen, to)
	case strictjson.List:
		return c.list(s, n, seen, to)
	case strictjson.String:
		return c.text(s, n, to)
	case strictjson.Number:
		return c.number(s, n, to)
	default:
		return true
	}
}

// inside checks value n, which step leads to from the value that is being checked.
func (c *checker) inside(step int, s *santhosh.Schema, n int, to *problems) bool {
	c.steps = append(c.steps, step)
	ok := c.value(s, n, nil, to)
	c.steps = c.steps[:len(c.steps)-1]
	return ok
}

func sentenceOf(k santhosh.ErrorKind) func() string { return func() string { return sentence(k) } }
