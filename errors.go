package attune

import (
	"errors"
	"fmt"
	"time"
)

// Code is the kind of an Error. The API maps it to an HTTP status, the command line to an exit status.
type Code string

const (
	// CodeInvalid: the request was understood and is wrong; Problems say where. HTTP 422.
	CodeInvalid Code = "invalid"
	// CodeMalformed: the request cannot be read at all (broken JSON, an unknown member). HTTP 400.
	CodeMalformed Code = "malformed"
	// CodeUnauthenticated: no token, or one that is unknown, revoked or expired. HTTP 401.
	CodeUnauthenticated Code = "unauthenticated"
	// CodeForbidden: the token is valid, but its role or packs do not allow this. HTTP 403.
	CodeForbidden Code = "forbidden"
	// CodeNotFound: nothing has this name or id. HTTP 404.
	CodeNotFound Code = "not_found"
	// CodeConflict: the thing is in a state that does not allow this. HTTP 409.
	CodeConflict Code = "conflict"
	// CodeTooLarge: the request is larger than the service takes. HTTP 413.
	CodeTooLarge Code = "too_large"
	// CodeRejected: a policy refused the request; RetryAfter says when to try again. HTTP 429.
	CodeRejected Code = "rejected"
	// CodeUnavailable: a service that Attune needs does not answer; the same request may succeed later. HTTP 503.
	CodeUnavailable Code = "unavailable"
)

// Error is an error whose text is meant for the person who made the request. Any other error is internal: it is logged
// and its text never leaves the process.
type Error struct {
	Code Code
	// Message says what happened and to what, in one sentence without a trailing full stop.
	Message string
	// Problems name each wrong field, where there are any.
	Problems []Problem
	// RetryAfter is how long to wait after CodeRejected or CodeUnavailable; zero when that is not known.
	RetryAfter time.Duration
	// Cause is the internal error behind this one, for the log.
	Cause error
}

// Problem is one wrong field: of a request, or of a file in an archive.
type Problem struct {
	// File is the path inside the pack archive; empty for a request body.
	File string `json:"file,omitempty"`
	// Line counts from 1; 0 when it is not known.
	Line int `json:"line,omitempty"`
	// Field is the dotted path of the member, such as "parameters.city" or "dependencies.python.version".
	Field string `json:"field,omitempty"`
	// Message says what is wrong and what would be right.
	Message string `json:"message"`
}

func (e *Error) Error() string {
	text := e.Message
	for _, p := range e.Problems {
		text += "; " + p.String()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Cause }

// String is the form people know from compilers: file:line: field: message.
func (p Problem) String() string {
	text := p.Message
	if p.Field != "" {
		text = p.Field + ": " + text
	}
	switch {
	case p.File != "" && p.Line > 0:
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, text)
	case p.File != "":
		return p.File + ": " + text
	default:
		return text
	}
}

// Errorf makes an Error without Problems.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes a CodeInvalid error with its Problems.
func Invalid(message string, problems ...Problem) *Error {
	return &Error{Code: CodeInvalid, Message: message, Problems: problems}
}

// CodeOf returns the code of the first Error in err's chain, or "" when err is internal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
