package strictjson

import (
	"errors"
	"fmt"
)

// What is wrong with a document, as the end of a sentence about the place where it is wrong.
var (
	ErrSyntax     = errors.New("is not valid JSON")
	ErrUTF8       = errors.New("is not UTF-8")
	ErrTrailing   = errors.New("must be one JSON value, something follows it")
	ErrDuplicate  = errors.New("is there twice")
	ErrDepth      = fmt.Errorf("nests deeper than %d levels", MaxDepth)
	ErrExponent   = fmt.Errorf("is a number with an exponent beyond %d", maxExponent)
	ErrType       = errors.New("has the wrong type") // of Unmarshal alone
	ErrLongNumber = fmt.Errorf("is a number of more than %d characters", maxNumberLength)
)

// Error is what is wrong with a document, and where.
type Error struct {
	// Path names the value in the document, such as a.b[0]; it is empty for the document as a whole.
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
