package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"attune"
)

// document is the part of an RFC 9457 problem that the command line shows.
type document struct {
	Title     string           `json:"title"`
	Detail    string           `json:"detail"`
	Code      attune.Code      `json:"code"`
	RequestID string           `json:"request_id"`
	Errors    []attune.Problem `json:"errors"`
}

// problem turns an unsuccessful response into an error for people. What is not a problem document comes from a proxy,
// or from a service that is not ours.
func (c *Client) problem(response *http.Response, content []byte) error {
	var doc document
	if err := json.Unmarshal(content, &doc); err != nil || doc.Code == "" {
		return &attune.Error{
			Code:    codeOf(response.StatusCode),
			Message: fmt.Sprintf("%s answered %s, and not as Attune does", c.base, response.Status),
		}
	}
	message := doc.Detail
	if message == "" {
		message = doc.Title
	}
	if doc.RequestID != "" {
		message += " (request " + doc.RequestID + ")"
	}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // 0 where there is none.
	return &attune.Error{
		Code: doc.Code, Message: message, Problems: doc.Errors, RetryAfter: time.Duration(seconds) * time.Second,
	}
}

// codeOf guesses the code where only a status is known.
func codeOf(status int) attune.Code {
	switch status {
	case http.StatusUnauthorized:
		return attune.CodeUnauthenticated
	case http.StatusForbidden:
		return attune.CodeForbidden
	case http.StatusNotFound:
		return attune.CodeNotFound
	case http.StatusRequestEntityTooLarge:
		return attune.CodeTooLarge
	case http.StatusTooManyRequests:
		return attune.CodeRejected
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return attune.CodeUnavailable
	default:
		return ""
	}
}
