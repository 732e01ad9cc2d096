package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"attune"
	"attune/internal/strictjson"
)

// Codes of problems that only HTTP knows; the rest of the service has no use for them.
const (
	codeInternal         attune.Code = "internal"
	codeMethodNotAllowed attune.Code = "method_not_allowed"
	codeRequestTimeout   attune.Code = "request_timeout"
	codeUnsupportedMedia attune.Code = "unsupported_media_type"
)

// statusOf is the one place where codes become HTTP statuses.
func statusOf(code attune.Code) int {
	switch code {
	case attune.CodeMalformed:
		return http.StatusBadRequest
	case attune.CodeUnauthenticated:
		return http.StatusUnauthorized
	case attune.CodeForbidden:
		return http.StatusForbidden
	case attune.CodeNotFound:
		return http.StatusNotFound
	case codeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case codeRequestTimeout:
		return http.StatusRequestTimeout
	case attune.CodeConflict:
		return http.StatusConflict
	case attune.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeUnsupportedMedia:
		return http.StatusUnsupportedMediaType
	case attune.CodeInvalid:
		return http.StatusUnprocessableEntity
	case attune.CodeRejected:
		return http.StatusTooManyRequests
	case attune.CodeUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// codes lists those that have a status of their own; every other error is internal.
func codes() []attune.Code {
	return []attune.Code{
		attune.CodeMalformed, attune.CodeUnauthenticated, attune.CodeForbidden, attune.CodeNotFound, codeMethodNotAllowed,
		codeRequestTimeout, attune.CodeConflict, attune.CodeTooLarge, codeUnsupportedMedia, attune.CodeInvalid,
		attune.CodeRejected, attune.CodeUnavailable,
	}
}

// codeOf is the way back, for the errors that the HTTP layer itself finds.
func codeOf(status int) attune.Code {
	for _, code := range codes() {
		if statusOf(code) == status {
			return code
		}
	}
	return codeInternal
}

// problemDocument is the body of every error: RFC 9457 with three members of our own.
type problemDocument struct {
	Type      string           `json:"type" example:"about:blank" doc:"Always about:blank; see code."`
	Title     string           `json:"title" example:"Unprocessable Entity" doc:"The HTTP status in words."`
	Status    int              `json:"status" example:"422" doc:"The HTTP status."`
	Detail    string           `json:"detail" doc:"What happened, in one sentence."`
	Code      attune.Code      `json:"code" example:"invalid" doc:"Kind of problem; stable, for programs."`
	RequestID string           `json:"request_id,omitempty" doc:"For an internal error: the id to look for in the service's log."`
	Errors    []attune.Problem `json:"errors,omitempty" doc:"Each wrong field: of a request, or of a file in an archive."`

	retryAfter int
}

func newProblem(code attune.Code, detail string, places ...attune.Problem) *problemDocument {
	status := statusOf(code)
	return &problemDocument{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code, Errors: places,
	}
}

// Error, GetStatus, GetHeaders and ContentType make the document an error that huma knows how to send.
func (p *problemDocument) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *problemDocument) GetStatus() int { return p.Status }

// GetHeaders are the headers that belong to the status.
func (p *problemDocument) GetHeaders() http.Header {
	header := http.Header{}
	if p.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	header.Set("Content-Length", strconv.Itoa(len(p.encoded())))
	return header
}

// ContentType is the media type of RFC 9457.
func (p *problemDocument) ContentType(string) string { return "application/problem+json" }

// write sends the document where no huma operation is at work: in middleware and from the router.
func (p *problemDocument) write(w http.ResponseWriter) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	// Only the client could be told of a failure here, and it does not listen.
	_, _ = w.Write(p.encoded()) //nolint:gosec // It is JSON, under nosniff.
}

// encoded is the document as huma writes it. Its length is sent ahead of it, so that a client has the whole answer
// while the service still reads the rest of the request.
func (p *problemDocument) encoded() []byte {
	var text bytes.Buffer
	_ = jsonFormat.Marshal(&text, p) // Of texts and numbers alone; a buffer takes them.
	return text.Bytes()
}

// problemFor turns an error of the layers below into what the client gets. An error that is not meant for people is
// logged here, once, and leaves only the request's id.
func problemFor(ctx context.Context, log *slog.Logger, err error) *problemDocument {
	told, ok := errors.AsType[*attune.Error](err)
	if !ok {
		return internalProblem(ctx, log, "request failed", slog.Any("error", err))
	}
	doc := newProblem(told.Code, told.Message, told.Problems...)
	if doc.Status == http.StatusInternalServerError {
		return internalProblem(ctx, log, "error with a code that has no status", slog.Any("error", err))
	}
	if told.Code == attune.CodeUnavailable {
		log.WarnContext(ctx, "dependency unavailable", "request_id", callOf(ctx).id, "error", err, "cause", told.Cause)
		doc.retryAfter = defaultRetryAfterSeconds
	}
	if told.RetryAfter > 0 {
		doc.retryAfter = int(math.Ceil(told.RetryAfter.Seconds()))
	}
	return doc
}

// defaultRetryAfterSeconds is Retry-After when a dependency is down: most come back within seconds.
const defaultRetryAfterSeconds = 5

func internalProblem(ctx context.Context, log *slog.Logger, what string, attrs ...slog.Attr) *problemDocument {
	doc := newProblem(codeInternal, "the service failed; its log has the details under this request id")
	doc.RequestID = callOf(ctx).id
	level := slog.LevelError
	if ctx.Err() != nil {
		level = slog.LevelInfo // The client went away; whatever broke, broke because of that.
	}
	log.LogAttrs(ctx, level, what, append(attrs, slog.String("request_id", doc.RequestID))...)
	return doc
}

// init replaces huma's error model. It is a package variable there, so that all of a process's APIs share it.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return requestProblem(status, message, errs...)
	}
	huma.NewErrorWithContext = operationProblem
	huma.ValidateStrictCasing = true // A member that differs in case is an unknown one.
}

// operationProblem is requestProblem for an operation that may treat unknown members differently.
func operationProblem(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
	doc := requestProblem(status, message, errs...)
	if status == http.StatusRequestEntityTooLarge {
		doc.Detail = fmt.Sprintf("the request body is larger than %d bytes", ctx.Operation().MaxBodyBytes-1)
	}
	if own, _ := ctx.Operation().Metadata[unknownIsInvalid].(bool); own && status == http.StatusUnprocessableEntity {
		doc = newProblem(attune.CodeInvalid, validationMessage(status), doc.Errors...)
	}
	ctx.SetHeader("Content-Length", strconv.Itoa(len(doc.encoded()))) // huma asks for headers elsewhere only
	return doc
}

// requestProblem makes the document for what huma finds wrong with a request. It takes the place and the words of each
// error and never its value, which may be a secret.
func requestProblem(status int, message string, errs ...error) *problemDocument {
	var places []attune.Problem
	for _, err := range errs {
		detail, ok := errors.AsType[*huma.ErrorDetail](err)
		if !ok {
			continue // The text of a read error is not for the client.
		}
		if detail.Message == validation.MsgUnexpectedProperty || strings.HasPrefix(detail.Message, "unknown query") {
			status = http.StatusBadRequest
		}
		if len(places) < maxPlaces {
			places = append(places, attune.Problem{
				Field:   strictjson.Cut(fieldOf(detail.Location), maxPlaceBytes),
				Message: strictjson.Cut(detail.Message, maxPlaceBytes),
			})
		}
	}
	if status == http.StatusInternalServerError {
		status, message = http.StatusBadRequest, "the request body ended before it was complete"
	}
	if message == "validation failed" {
		message = validationMessage(status)
	}
	return newProblem(codeOf(status), message, places...)
}

// Bounds of what an answer says about a request.
const (
	maxPlaces     = 50
	maxPlaceBytes = 1 << 10
)

func validationMessage(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "the request cannot be read"
	case http.StatusUnsupportedMediaType:
		return "the request body must be application/json"
	default:
		return "the request has wrong values"
	}
}

// batchMember is huma's name for a member of a batch.
var batchMember = regexp.MustCompile(`^body\.executions\[(\d+)\]`)

// fieldOf cuts off huma's word for the part of the request, so that "body.parameters.city" is "parameters.city". A
// member of a batch is named as the queue names it: executions.2.
func fieldOf(location string) string {
	part, field, _ := strings.Cut(batchMember.ReplaceAllString(location, "body.executions.$1"), ".")
	switch part {
	case "body", "query", "path", "header":
		return field
	default:
		return location
	}
}
