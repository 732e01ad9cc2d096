package strictjson

import (
	"bytes"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind is what a value is.
type Kind byte

// The kinds are the first characters of their values.
const (
	Null   = Kind(jsontext.KindNull)
	False  = Kind(jsontext.KindFalse)
	True   = Kind(jsontext.KindTrue)
	String = Kind(jsontext.KindString)
	Number = Kind(jsontext.KindNumber)
	Object = Kind(jsontext.KindBeginObject)
	List   = Kind(jsontext.KindBeginArray)
)

// Document is a text that has been read. It keeps where in the text each value is, and so stays small. Values are
// numbered in the order of the text: 0 is the whole. A value of an object or a list is followed by what is in it: the
// items, or each member's name and then its value. Next leads past a value.
//
// The document shares the text, which must not change.
type Document struct {
	text  []byte
	nodes []node
}

// node is a value, or the name of a member.
type node struct {
	// start and end are where its text is.
	start, end uint32
	// next is the number of the value after it and all that is in it.
	next uint32
	// count is how many members or items it has.
	count uint32
	kind  Kind
}

// Parse reads a document. The error is an *Error.
func Parse(text []byte) (*Document, error) {
	d := &Document{text: text}
	if err := d.read(); err != nil {
		return nil, err
	}
	return d, nil
}

// Reset reads another text into the memory of this one.
func (d *Document) Reset(text []byte) error {
	d.text = text
	return d.read()
}

func (d *Document) add(kind Kind, start, end int64) int {
	at := len(d.nodes)
	d.nodes = append(d.nodes, node{start: uint32(start), end: uint32(end), next: uint32(at + 1), kind: kind})
	return at
}

// Kind is what value n is.
func (d *Document) Kind(n int) Kind { return d.nodes[n].kind }

// Len is how many members or items value n has.
func (d *Document) Len(n int) int { return int(d.nodes[n].count) }

// Next is the value after n and all that is in it.
func (d *Document) Next(n int) int { return int(d.nodes[n].next) }

// Raw is the text of value n.
func (d *Document) Raw(n int) []byte { return d.text[d.nodes[n].start:d.nodes[n].end] }

// Bytes is the content of a string. It is part of the document where the string has no escapes.
func (d *Document) Bytes(n int) []byte {
	var buffer []byte
	return d.content(n, &buffer)
}

// String is the content of a string.
func (d *Document) String(n int) string { return string(d.Bytes(n)) }

// content is Bytes; a string with escapes is written over buffer.
func (d *Document) content(n int, buffer *[]byte) []byte {
	raw := d.Raw(n)
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	*buffer, _ = jsontext.AppendUnquote((*buffer)[:0], raw) // it was read before
	return *buffer
}

// Value returns value n as map[string]any, []any, string, json.Number, bool or nil, which takes up to a hundred times
// the memory of the text: it is for documents that are small by other bounds.
func (d *Document) Value(n int) any {
	switch d.Kind(n) {
	case Object:
		members := make(map[string]any, d.Len(n))
		for name := n + 1; name < d.Next(n); name = d.Next(name + 1) {
			members[d.String(name)] = d.Value(name + 1)
		}
		return members
	case List:
		items := make([]any, 0, d.Len(n))
		for item := n + 1; item < d.Next(n); item = d.Next(item) {
			items = append(items, d.Value(item))
		}
		return items
	case String:
		return d.String(n)
	case Number:
		return json.Number(d.Raw(n))
	case True, False:
		return d.Kind(n) == True
	default:
		return nil
	}
}

// countValues counts the values and names in a text of JSON. Of any other text, it counts no fewer than can be read.
func countValues(text []byte) (n int) {
	scalar := false // within a number or a literal
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			n++
			scalar = false
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			n++
			scalar = false
		case '}', ']', ',', ':', ' ', '\t', '\n', '\r':
			scalar = false
		default:
			if !scalar {
				n++
			}
			scalar = true
		}
	}
	return n
}
