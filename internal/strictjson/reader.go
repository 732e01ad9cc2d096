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
	// 1e999999999 is nine bytes of JSON, and a billion digits to calculate with.
	maxNumberLength = 400
	maxExponent     = 400
)

// reader reads the tokens of one document.
type reader struct {
	tokens *jsontext.Decoder
	// complete is set once the whole value has been read.
	complete bool
}

func newReader(text []byte) (*reader, error) {
	if !utf8.Valid(text) {
		return nil, &Error{Err: ErrUTF8}
	}
	// Without the option, the decoder would also refuse the escape of half a surrogate pair, which is how Python and
	// JavaScript write the names of odd files.
	return &reader{tokens: jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowInvalidUTF8(true))}, nil
}

// next reads a token; after the last one the error is io.EOF. Any other error is an *Error.
func (r *reader) next() (jsontext.Token, error) {
	token, err := r.tokens.ReadToken()
	switch {
	case r.complete && errors.Is(err, io.EOF):
		return token, io.EOF
	case r.complete:
		return token, &Error{Offset: r.tokens.InputOffset(), Err: ErrTrailing}
	case err != nil:
		return token, r.syntax(err)
	case r.tokens.StackDepth() > MaxDepth:
		return token, r.refuse(ErrDepth)
	case token.Kind() == jsontext.KindNumber:
		if err := checkNumber(token.String()); err != nil {
			return token, r.refuse(err)
		}
	}
	r.complete = r.tokens.StackDepth() == 0
	return token, nil
}

// refuse makes an error about the token that was just read.
func (r *reader) refuse(err error) *Error {
	return &Error{Path: r.path(r.tokens.StackPointer()), Offset: r.tokens.InputOffset(), Err: err}
}

// syntax turns what the decoder says into an error of ours.
func (r *reader) syntax(err error) *Error {
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case !ok: // io.EOF: there is no value
		return &Error{Err: fmt.Errorf("%w: it is empty", ErrSyntax)}
	case errors.Is(err, jsontext.ErrDuplicateName):
		return &Error{Path: r.path(syntactic.JSONPointer), Offset: syntactic.ByteOffset, Err: ErrDuplicate}
	default:
		return &Error{
			Path: r.path(syntactic.JSONPointer), Offset: syntactic.ByteOffset,
			Err: fmt.Errorf("%w: %w", ErrSyntax, syntactic.Err),
		}
	}
}

// path writes a pointer to a place inside the open objects and lists as people do: a.b[0].
func (r *reader) path(pointer jsontext.Pointer) string {
	var path strings.Builder
	level := 0
	for token := range pointer.Tokens() {
		level++
		kind := jsontext.KindInvalid
		if level <= r.tokens.StackDepth() {
			kind, _ = r.tokens.StackIndex(level)
		}
		switch {
		case kind == jsontext.KindBeginArray:
			path.WriteString("[" + token + "]")
		case path.Len() > 0:
			path.WriteString("." + token)
		default:
			path.WriteString(token)
		}
	}
	return path.String()
}

func checkNumber(number string) error {
	if _, exponent, ok := strings.Cut(strings.ToLower(number), "e"); ok {
		n, err := strconv.Atoi(exponent)
		if err != nil || n > maxExponent || n < -maxExponent {
			return ErrExponent
		}
	}
	if len(number) > maxNumberLength {
		return ErrLongNumber
	}
	return nil
}
