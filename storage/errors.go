package storage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"attune"
)

// Translate is the one place where a database error becomes an error of ours. No rows turns into the CodeNotFound error
// among public, a broken unique or foreign key into the CodeConflict one; where the caller gave none, both stay
// internal. A database that cannot be reached or is too busy is CodeUnavailable. PostgreSQL's words are only ever the
// cause, for the log. An *attune.Error passes through as it is.
func Translate(doing string, err error, public ...*attune.Error) error {
	if err == nil || attune.CodeOf(err) != "" {
		return err
	}
	cause := fmt.Errorf("%s: %w", doing, err)
	code := databaseCode(err)
	for _, e := range public {
		if e.Code == code {
			translated := *e
			translated.Cause = cause
			return &translated
		}
	}
	if code == attune.CodeUnavailable {
		message := "the database does not answer; try again soon"
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == queryCanceled {
			message = "the database took too long for the answer; ask for less, or try again soon"
		}
		return &attune.Error{Code: code, Message: message, Cause: cause}
	}
	return cause
}

// databaseCode is empty for an error that callers can do nothing about.
func databaseCode(err error) attune.Code {
	if errors.Is(err, pgx.ErrNoRows) {
		return attune.CodeNotFound
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return sqlStateCode(e.Code)
	}
	if errors.Is(err, context.Canceled) {
		return ""
	}
	_, cannotConnect := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	// A connection that breaks under a query comes as whatever the socket said, wrapped by pgconn without a type.
	if cannotConnect || network || pgconn.Timeout(err) || connectionBroke(err) {
		return attune.CodeUnavailable
	}
	return ""
}

// queryCanceled is what statement_timeout ends a statement with.
const queryCanceled = "57014"

func sqlStateCode(state string) attune.Code {
	switch state {
	case "23505", "23503": // unique_violation, foreign_key_violation
		return attune.CodeConflict
	case queryCanceled, "55P03", "40001", "40P01": // statement_timeout, lock_not_available, serialization, deadlock
		return attune.CodeUnavailable
	}
	switch state[:min(2, len(state))] {
	case "08", "53", "57", "58": // connection, resources, operator intervention, system error
		return attune.CodeUnavailable
	}
	return ""
}

// isUnique reports whether err is a broken unique constraint.
func isUnique(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "23505"
}

func connectionBroke(err error) bool {
	text := err.Error()
	return strings.Contains(text, "unexpected EOF") || strings.Contains(text, "conn closed") ||
		strings.Contains(text, "closed pool")
}
