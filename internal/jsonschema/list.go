package jsonschema

import (
	"fmt"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// list checks the items of list n.
func (c *checker) list(s *santhosh.Schema, n int, seen *marks, to *problems) bool {
	ok := c.size(s.MinItems, s.MaxItems, c.doc.Len(n), to,
		func(want, got int) santhosh.ErrorKind { return &kind.MinItems{Want: want, Got: got} },
		func(want, got int) santhosh.ErrorKind { return &kind.MaxItems{Want: want, Got: got} })
	if (ok || !to.full()) && s.UniqueItems {
		ok = c.unique(n, to) && ok
	}
	fitting := 0 // items that fit the schema of contains
	for i, at := 0, n+1; i < c.doc.Len(n); i, at = i+1, c.doc.Next(at) {
		if !ok && to.full() || c.err != nil {
			return false
		}
		schema := s.Items2020
		if i < len(s.PrefixItems) {
			schema = s.PrefixItems[i]
		}
		if schema != nil {
			seen.set(i)
			ok = c.inside(-1-i, schema, at, to) && ok
		}
		if s.Contains != nil && c.inside(-1-i, s.Contains, at, nil) {
			seen.set(i)
			fitting++
		}
	}
	return c.contains(s, fitting, to) && ok
}

func (c *checker) contains(s *santhosh.Schema, fitting int, to *problems) bool {
	if s.Contains == nil {
		return true
	}
	least := 1
	if s.MinContains != nil {
		least = *s.MinContains
	}
	if fitting < least {
		return c.add(to, func() string {
			return fmt.Sprintf(`must have at least %d items that fit "contains", has %d`, least, fitting)
		})
	}
	if s.MaxContains != nil && fitting > *s.MaxContains {
		return c.add(to, func() string {
			return fmt.Sprintf(`must have at most %d items that fit "contains", has %d`, *s.MaxContains, fitting)
		})
	}
	return true
}

// unique checks that no item of list n is there twice.
func (c *checker) unique(n int, to *problems) bool {
	if !c.spend(lookWork * (c.doc.Next(n) - n)) {
		return false
	}
	before := map[uint64]int32{}
	for i, at := 0, n+1; i < c.doc.Len(n); i, at = i+1, c.doc.Next(at) {
		hash := c.doc.Hash(at)
		if first, twice := before[hash]; twice {
			return c.add(to, sentenceOf(&kind.UniqueItems{Duplicates: [2]int{int(first), i}}))
		}
		before[hash] = int32(i)
	}
	return true
}
