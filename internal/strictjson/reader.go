package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of a document. They are far beyond what an action needs and keep hostile input cheap.
const (
	// MaxDepth is how deep objects and lists may nest.
	MaxDepth = 64
	// MaxValues is how many values a document may have; the names of members count, too.
	MaxValues = 2_000_000
	// 1e999999999 is nine bytes of JSON, and a billion digits to calculate with.
	maxNumberLength = 400
	maxExponent     = 400
)

// reader builds a Document while it reads the tokens of the text.
type reader struct {
	*Document
	tokens *jsontext.Decoder
	names  nameTable
}

// read reads the text of the document.
func (d *Document) read() error {
	if !utf8.Valid(d.text) {
		return &Error{Err: ErrUTF8}
	}
	n := countValues(d.text)
	if n > MaxValues {
		return &Error{Err: ErrValues}
	}
	if n = min(n, len(d.text)/2+1); cap(d.nodes) < n { // JSON has no more; what is no JSON may seem to
		d.nodes = make([]node, 0, n)
	}
	d.nodes = d.nodes[:0]
	// The reader looks for names that are there twice itself: the decoder's way takes more memory.
	r := &reader{
		Document: d,
		tokens:   jsontext.NewDecoder(bytes.NewBuffer(d.text), jsontext.AllowDuplicateNames(true)),
	}
	if err := r.value(); err != nil {
		return err
	}
	if _, err := r.tokens.ReadToken(); !errors.Is(err, io.EOF) {
		return &Error{Offset: r.tokens.InputOffset(), Err: ErrTrailing}
	}
	return nil
}

// value reads one value, with all that is in it. The recursion ends at MaxDepth.
func (r *reader) value() error {
	kind := r.tokens.PeekKind()
	if kind == jsontext.KindBeginObject || kind == jsontext.KindBeginArray {
		return r.container(kind)
	}
	text, err := r.tokens.ReadValue()
	if err != nil {
		return r.syntax(err)
	}
	if kind == jsontext.KindNumber {
		if err := checkNumber(text); err != nil {
			return r.refuse(err)
		}
	}
	end := r.tokens.InputOffset()
	r.add(Kind(kind), end-int64(len(text)), end)
	return nil
}

func (r *reader) container(kind jsontext.Kind) error {
	if _, err := r.tokens.ReadToken(); err != nil {
		return r.syntax(err)
	}
	if r.tokens.StackDepth() > MaxDepth {
		return r.refuse(ErrDepth)
	}
	at := r.add(Kind(kind), r.tokens.InputOffset()-1, 0)
	for {
		next := r.tokens.PeekKind()
		if next == jsontext.KindEndObject || next == jsontext.KindEndArray {
			break
		}
		if err := r.value(); err != nil {
			return err
		}
		r.nodes[at].count++
	}
	if _, err := r.tokens.ReadToken(); err != nil {
		return r.syntax(err)
	}
	r.nodes[at].end, r.nodes[at].next = uint32(r.tokens.InputOffset()), uint32(len(r.nodes))
	if kind == jsontext.KindBeginArray {
		return nil
	}
	r.nodes[at].count /= 2 // a member is a name and a value
	if twice := r.names.repeated(r.Document, at); twice > 0 {
		place := r.refuse(ErrDuplicate)
		place.Path, place.Offset = join(place.Path, ShortName(r.String(twice))), int64(r.nodes[twice].start)
		return place
	}
	return nil
}

// refuse makes an error about the token that was just read.
func (r *reader) refuse(err error) *Error {
	return &Error{Path: r.path(r.tokens.StackPointer()), Offset: r.tokens.InputOffset(), Err: err}
}

// syntax turns what the decoder says into an error of ours.
func (r *reader) syntax(err error) *Error {
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok { // io.EOF: there is no value
		return &Error{Err: fmt.Errorf("%w: it is empty", ErrSyntax)}
	}
	refused := &Error{Path: r.path(syntactic.JSONPointer), Offset: syntactic.ByteOffset}
	if strings.Contains(syntactic.Err.Error(), "surrogate pair") { // the decoder has no error to compare with
		refused.Err = ErrSurrogate
	} else {
		refused.Err = fmt.Errorf("%w: %w", ErrSyntax, syntactic.Err)
	}
	return refused
}

// path writes a pointer to a place inside the open objects and lists as people do: a.b[0].
func (r *reader) path(pointer jsontext.Pointer) string {
	path := ""
	level := 0
	for token := range pointer.Tokens() {
		level++
		kind := jsontext.KindInvalid
		if level <= r.tokens.StackDepth() {
			kind, _ = r.tokens.StackIndex(level)
		}
		if kind == jsontext.KindBeginArray {
			path += "[" + token + "]"
		} else {
			path = join(path, ShortName(token))
		}
	}
	return path
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func checkNumber(number []byte) error {
	if i := bytes.IndexAny(number, "eE"); i >= 0 {
		n, err := strconv.Atoi(string(number[i+1:]))
		if err != nil || n > maxExponent || n < -maxExponent {
			return ErrExponent
		}
	}
	if len(number) > maxNumberLength {
		return ErrLongNumber
	}
	return nil
}
