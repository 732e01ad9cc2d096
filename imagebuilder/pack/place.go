package pack

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"attune"
)

// place is a value in a file of the pack, or where one could be. Reading it notes what is wrong and goes on, so that an
// author sees everything at once.
type place struct {
	r     *manifestReader
	file  string
	field string
	line  int
	// node is nil where the file has nothing.
	node *yamlNode
}

func (p place) given() bool { return p.node != nil && p.node.value != nil }

func (p place) refuse(format string, args ...any) {
	p.r.problem(p.file, p.line, p.field, format, args...)
}

// required notes when nothing is there.
func (p place) required() place {
	if !p.given() {
		p.refuse("is required")
	}
	return p
}

// wrongType says what should be here instead.
func (p place) wrongType(want string) {
	p.refuse("must be %s, is %s", want, p.node.kind())
}

// members are the fields of an object, of which only the known ones may be there.
type members struct{ parent place }

func (m members) at(name string) place { return m.parent.child(name) }

// members checks that an object is here and has no other fields; ok is false when nothing is here, or no object.
func (p place) members(known ...string) (_ members, ok bool) {
	if !p.given() {
		if p.field == "" { // a whole file
			p.refuse("is empty")
		}
		return members{}, false
	}
	for name, child := range p.entries() {
		if !slices.Contains(known, name) {
			child.refuse("is an unknown field%s", cmp.Or(didYouMean(name, known), "; known are "+strings.Join(known, ", ")))
		}
	}
	_, ok = p.node.value.(yamlMap)
	return members{p}, ok
}

// entries are the members of an object, each name once.
func (p place) entries() iter.Seq2[string, place] {
	return func(yield func(string, place) bool) {
		if !p.given() {
			return
		}
		object, ok := p.node.value.(yamlMap)
		if !ok {
			p.wrongType("an object")
			return
		}
		for _, m := range object {
			if !yield(m.name, p.child(m.name)) {
				return
			}
		}
	}
}

// names are those of an object's members; none where there is no object.
func (p place) names() (names []string) {
	if p.node == nil {
		return nil
	}
	object, _ := p.node.value.(yamlMap)
	for _, m := range object {
		names = append(names, m.name)
	}
	return names
}

// child is the place of a member, whether it is there or not.
func (p place) child(name string) place {
	at := place{r: p.r, file: p.file, field: name, line: p.line}
	if p.field != "" {
		at.field = p.field + "." + name
	}
	if p.node == nil {
		return at
	}
	object, _ := p.node.value.(yamlMap)
	for _, m := range object {
		if m.name == name {
			at.line, at.node = m.line, m.node
			return at
		}
	}
	return at
}

func (p place) item(i int) place {
	list, _ := p.node.value.([]*yamlNode)
	return place{r: p.r, file: p.file, field: p.field + "[" + strconv.Itoa(i) + "]", line: list[i].line, node: list[i]}
}

// below finds the place that a schema's dotted path means. Names may have dots themselves, so the tree is asked.
func (p place) below(path string) place {
	at := p
	if path == "" || p.node == nil {
		return at
	}
	switch value := p.node.value.(type) {
	case yamlMap:
		for _, m := range value {
			if rest, ok := strings.CutPrefix(path, m.name); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				return p.child(m.name).below(strings.TrimPrefix(rest, "."))
			}
		}
	case []*yamlNode:
		index, rest, _ := strings.Cut(strings.TrimPrefix(path, "["), "]")
		if i, err := strconv.Atoi(index); err == nil && i >= 0 && i < len(value) {
			return p.item(i).below(strings.TrimPrefix(rest, "."))
		}
	}
	at.field = strings.TrimPrefix(at.field+"."+path, ".")
	return at
}

// text reads a string of at most limit bytes; ok is false when there is none.
func (p place) text(limit int) (_ string, ok bool) {
	if !p.given() {
		return "", false
	}
	text, ok := p.node.value.(string)
	switch {
	case !ok && p.node.plain != "":
		p.refuse("must be a string, is %s; write it in quotes: %q", p.node.kind(), p.node.plain)
	case !ok:
		p.wrongType("a string")
	case len(text) > limit:
		p.refuse("must have at most %d bytes, has %d", limit, len(text))
		ok = false
	}
	return text, ok
}

// texts reads a list of distinct strings.
func (p place) texts(most, limit int) []string {
	if !p.given() {
		return nil
	}
	list, ok := p.node.value.([]*yamlNode)
	if !ok {
		p.wrongType("a list")
		return nil
	}
	if len(list) > most {
		p.refuse("must have at most %d items, has %d", most, len(list))
		return nil
	}
	var texts []string
	for i, node := range list {
		text, ok := p.item(i).text(limit)
		switch {
		case node.value == nil || ok && strings.TrimSpace(text) == "":
			p.item(i).refuse("is empty")
		case slices.Contains(texts, text):
			p.item(i).refuse("is there twice")
		}
		texts = append(texts, text)
	}
	return texts
}

// choice reads one of several words; "" when there is none of them.
func (p place) choice(words ...string) string {
	text, ok := p.text(64)
	if !ok || slices.Contains(words, text) {
		return text
	}
	p.refuse("must be one of %s", strings.Join(words, ", "))
	return ""
}

// integer reads a whole number between least and most.
func (p place) integer(missing, least, most int64) int64 {
	if !p.given() {
		return missing
	}
	number, ok := p.node.value.(json.Number)
	n, err := number.Int64()
	switch {
	case !ok:
		p.wrongType("a whole number")
	case err != nil || n < least || n > most:
		p.refuse("must be a whole number from %d to %d", least, most)
	default:
		return n
	}
	return missing
}

// number reads a number between least and most.
func (p place) number(missing, least, most float64) float64 {
	if !p.given() {
		return missing
	}
	number, ok := p.node.value.(json.Number)
	n, err := number.Float64()
	switch {
	case !ok:
		p.wrongType("a number")
	case err != nil || n < least || n > most:
		p.refuse("must be a number from %v to %v", least, most)
	default:
		return n
	}
	return missing
}

// json writes the value as JSON, its numbers as they stand in the file.
func (p place) json() (_ json.RawMessage, ok bool) {
	var text bytes.Buffer
	if err := p.node.writeJSON(&text); err != nil {
		p.refuse("cannot be written as JSON: %v", err)
		return nil, false
	}
	return text.Bytes(), true
}

// problemsOf are the places in an error for people; any other error is one problem without a place.
func problemsOf(err error) []attune.Problem {
	if e, ok := errors.AsType[*attune.Error](err); ok && len(e.Problems) > 0 {
		return e.Problems
	}
	return []attune.Problem{{Message: err.Error()}}
}

// lineAt is the line of the byte at offset.
func lineAt(text []byte, offset int) int {
	return 1 + bytes.Count(text[:min(offset, len(text))], []byte("\n"))
}

// invalidUTF8 finds the first byte that is no UTF-8.
func invalidUTF8(text []byte) (offset int, found bool) {
	for offset < len(text) {
		r, size := utf8.DecodeRune(text[offset:])
		if r == utf8.RuneError && size == 1 {
			return offset, true
		}
		offset += size
	}
	return 0, false
}
