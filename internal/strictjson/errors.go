package strictjson

import (
	"errors"
	"fmt"
)

// What is wrong with a document, as the end of a sentence about the place where it is wrong.
var (
	ErrSyntax     = errors.New("is not valid JSON")
	ErrUTF8       = errors.New("is not UTF-8")
	ErrSurrogate  = errors.New(`has half of a surrogate pair (\ud800 to \udfff), which is not a character`)
	ErrTrailing   = errors.New("must be one JSON value, something follows it")
	ErrDuplicate  = errors.New("is there twice")
	ErrDepth      = fmt.Errorf("nests deeper than %d levels", MaxDepth)
	ErrValues     = fmt.Errorf("has more than %d values and names", MaxValues)
	ErrExponent   = fmt.Errorf("is a number with an exponent beyond %d", maxExponent)
	ErrType       = errors.New("has the wrong type") // of Unmarshal alone
	ErrLongNumber = fmt.Errorf("is a number of more than %d characters", maxNumberLength)
)

// Error is what is wrong with a document, and where.
type Error struct {
	// Path names the value in the document, such as a.b[0]; it is empty for the document as a whole. Long names in it are
	// cut.
	Path string
	// Offset is the number of bytes in front of the fault, or up to its end.
	Offset int64
	// Err is one of the errors above, or wraps it.
	Err error
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Err.Error()
	}
	return e.Path + " " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// maxNameBytes is how much of a name an error shows.
const maxNameBytes = 128

// ShortName is a name as an error shows it.
func ShortName(name string) string { return Cut(name, maxNameBytes) }

// Cut shortens a text to at most n bytes, and an ellipsis that says so.
func Cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && text[n]&0xc0 == 0x80 { // within a character
		n--
	}
	return text[:n] + "…"
}
