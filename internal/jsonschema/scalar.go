package jsonschema

import (
	"math/big"
	"strconv"
	"unicode/utf8"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"attune/internal/strictjson"
)

// text checks string n.
func (c *checker) text(s *santhosh.Schema, n int, to *problems) bool {
	ok := true
	if s.MinLength != nil || s.MaxLength != nil {
		text := c.doc.Bytes(n)
		ok = c.spend(len(text)/8) && c.size(s.MinLength, s.MaxLength, utf8.RuneCount(text), to,
			func(want, got int) santhosh.ErrorKind { return &kind.MinLength{Want: want, Got: got} },
			func(want, got int) santhosh.ErrorKind { return &kind.MaxLength{Want: want, Got: got} })
	}
	if s.Pattern == nil || !ok && to.full() {
		return ok
	}
	text := c.doc.String(n)
	if c.spend(c.rules[s].patternCost*len(text)) && s.Pattern.MatchString(text) {
		return ok
	}
	return c.add(to, sentenceOf(&kind.Pattern{Want: s.Pattern.String()}))
}

// number checks number n, exactly.
func (c *checker) number(s *santhosh.Schema, n int, to *problems) bool {
	if s.Minimum == nil && s.Maximum == nil && s.ExclusiveMinimum == nil && s.ExclusiveMaximum == nil &&
		s.MultipleOf == nil || !c.readNumber(n) {
		return c.err == nil
	}
	exact := &c.exact
	switch {
	case s.Minimum != nil && exact.Cmp(s.Minimum) < 0:
		return c.add(to, func() string { return sentence(&kind.Minimum{Want: s.Minimum}) })
	case s.Maximum != nil && exact.Cmp(s.Maximum) > 0:
		return c.add(to, func() string { return sentence(&kind.Maximum{Want: s.Maximum}) })
	case s.ExclusiveMinimum != nil && exact.Cmp(s.ExclusiveMinimum) <= 0:
		return c.add(to, func() string { return sentence(&kind.ExclusiveMinimum{Want: s.ExclusiveMinimum}) })
	case s.ExclusiveMaximum != nil && exact.Cmp(s.ExclusiveMaximum) >= 0:
		return c.add(to, func() string { return sentence(&kind.ExclusiveMaximum{Want: s.ExclusiveMaximum}) })
	case s.MultipleOf != nil && !new(big.Rat).Quo(exact, s.MultipleOf).IsInt():
		return c.add(to, func() string { return sentence(&kind.MultipleOf{Want: s.MultipleOf}) })
	default:
		return true
	}
}

// exactWork is what exact arithmetic with a number of 400 digits costs.
const exactWork = 2000

// readNumber sets c.exact to number n, if there is work left for it.
func (c *checker) readNumber(n int) bool {
	raw := c.doc.Raw(n)
	if whole, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		c.exact.SetInt64(whole) // which most numbers are, and needs no memory
		return true
	}
	if !c.spend(exactWork) {
		return false
	}
	_, ok := c.exact.SetString(string(raw))
	return ok
}

// typeName is JSON Schema's name of a kind.
func typeName(k strictjson.Kind) string {
	switch k {
	case strictjson.Null:
		return "null"
	case strictjson.True, strictjson.False:
		return "boolean"
	case strictjson.String:
		return "string"
	case strictjson.Number:
		return "number"
	case strictjson.List:
		return "array"
	default:
		return "object"
	}
}
