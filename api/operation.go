package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"attune"
)

// prefix is where contract 6 puts every operation.
const prefix = "/api/v1"

// unknownIsInvalid is where huma keeps the member of that name for us.
const unknownIsInvalid = "unknownIsInvalid"

// Lists that are made at once: for all tokens, and for one.
const (
	maxLists      = 16
	maxTokenLists = 2
)

// maxBodyBytes bounds the JSON body of all operations that do not say otherwise.
const maxBodyBytes = 1 << 20

// envelope is the body of every answer that is one thing.
type envelope[T any] struct {
	Data T `json:"data"`
}

// response is an answer with a body.
type response[T any] struct {
	Body envelope[T]
}

func respond[T any](data T) *response[T] {
	return &response[T]{Body: envelope[T]{Data: data}}
}

// pagination leads to the rest of a list.
type pagination struct {
	NextCursor string `json:"next_cursor" doc:"The query parameter cursor of the next page; empty at the end."`
}

// page is the body of every answer that is a list.
type page[T any] struct {
	Data       []T        `json:"data" nullable:"false"`
	Pagination pagination `json:"pagination"`
}

// listResponse is an answer with a list in its body.
type listResponse[T any] struct {
	Body page[T]
}

func respondList[T any](items []T, nextCursor string) *listResponse[T] {
	if items == nil {
		items = []T{} // A list is [] when it is empty, never null.
	}
	return &listResponse[T]{Body: page[T]{Data: items, Pagination: pagination{NextCursor: nextCursor}}}
}

// operation describes a route, for huma and for the documentation.
type operation struct {
	id, method, path string
	tag              string
	summary          string
	description      string
	// status is the one of success.
	status int
	// errors are the statuses of failure beyond those that every operation may have.
	errors []int
	// ownTime: the handler bounds itself.
	ownTime bool
	// reads many rows: bounded in number, so that these wait for each other and nothing waits for them.
	list bool
	// maxBytes bounds the body; 0 takes maxBodyBytes.
	maxBytes int64
	// unknownIsInvalid: an unknown member of the body is a wrong value, and 422; in other operations it is 400.
	unknownIsInvalid bool
	// request and response are examples; nil where there is no body.
	request, response any
}

// register adds an operation. The handler returns the errors of the layers below as they are.
func register[I, O any](s *server, o operation, handle func(context.Context, *I) (*O, error)) {
	described := o.describe()
	described.BodyReadTimeout = s.SendTimeout
	huma.Register(s.huma, described, func(ctx context.Context, in *I) (*O, error) {
		if !o.ownTime {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, s.AnswerTimeout)
			defer cancel()
		}
		if o.list {
			release, err := s.lists.acquire(ctx, callOf(ctx).token.ID)
			if err != nil {
				return nil, problemFor(ctx, s.log, err)
			}
			defer release()
		}
		out, err := handle(ctx, in)
		if err != nil {
			return nil, problemFor(ctx, s.log, err)
		}
		return out, nil
	})
}

func (o operation) describe() huma.Operation {
	success := &huma.Response{Description: http.StatusText(o.status)}
	if o.response != nil {
		success.Content = map[string]*huma.MediaType{"application/json": {Example: plain(o.response)}}
	}
	maxBytes := cmp.Or(o.maxBytes, maxBodyBytes)
	described := huma.Operation{
		OperationID: o.id, Method: o.method, Path: prefix + o.path, Tags: []string{o.tag},
		Summary: o.summary, Description: o.description,
		DefaultStatus: o.status,
		MaxBodyBytes:  maxBytes + 1, // huma refuses a body of this size
		Responses:     map[string]*huma.Response{strconv.Itoa(o.status): success},
		Errors: append([]int{
			http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable,
		}, o.errors...),
		Security: []map[string][]string{{bearerScheme: {}}},
		Metadata: map[string]any{unknownIsInvalid: o.unknownIsInvalid},
	}
	described.Description += "\n\nNeeds the role " + string(neededRole[o.id]) + "."
	if o.list {
		described.Errors = append(described.Errors, http.StatusTooManyRequests)
	}
	if o.request != nil {
		described.Description += fmt.Sprintf(" The body has at most %d bytes; a larger one gets 413.", maxBytes)
		described.Errors = append(described.Errors,
			http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
			http.StatusTooManyRequests)
		described.RequestBody = &huma.RequestBody{
			Content: map[string]*huma.MediaType{"application/json": {Example: plain(o.request)}},
		}
	}
	return described
}

// plain turns an example into maps and slices, the only values that huma's document writer shows as they are meant.
func plain(example any) any {
	raw, err := json.Marshal(example)
	if err != nil {
		panic(err) // An example is a constant of this package.
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

// notFound is the answer for what does not exist, and for what the caller's token must not know of.
func notFound(kind, name string) error {
	return attune.Errorf(attune.CodeNotFound, "there is no %s %q", kind, name)
}

// wrongValue is the answer to a parameter or member with a wrong value.
func wrongValue(field, message string) error {
	return attune.Invalid("the request has wrong values", attune.Problem{Field: field, Message: message})
}

// checkRefs checks what narrows a listing or a scope; either may be empty.
func checkRefs(pack, action string) error {
	if pack != "" && !attune.ValidPackRef(pack) {
		return wrongValue("pack", "is not the ref of a pack")
	}
	if _, _, ok := attune.SplitActionRef(action); action != "" && !ok {
		return wrongValue("action", "is not the ref of an action, <pack>.<name>")
	}
	return nil
}

// isID reports whether s is a UUID in the spelling of our ids.
func isID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}
