// Package client speaks HTTP with the Attune service for the command line: requests in, the data member of the answer
// out, and problem documents as *attune.Error.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"attune"
)

// ErrUnreachable is in the chain of an error when no answer of the service arrived.
var ErrUnreachable = errors.New("service not reachable")

// maxAnswerBytes bounds what is read of one answer. The largest are lists of results.
const maxAnswerBytes = 256 << 20

// headerTimeout is how long the service may think, counted from the end of the request.
const headerTimeout = 2 * time.Minute

// Client is the way to one service. Its methods may be called at the same time.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New makes a client for the service at address. An empty token sends none.
func New(address, token string) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("%q is not the address of a service, such as http://127.0.0.1:8080", address)
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: headerTimeout,
		ForceAttemptHTTP2:     true,
		IdleConnTimeout:       30 * time.Second,
	}
	return &Client{base: base, token: token, http: &http.Client{Transport: transport}}, nil
}

// Close gives back the connections that are kept for later requests.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// URL is the address of the service.
func (c *Client) URL() string { return c.base.String() }

// Answer is a successful response.
type Answer struct {
	// Data is the data member, exactly as it came; nil when the response has no body.
	Data json.RawMessage `json:"data"`
	// Pagination is there in lists.
	Pagination struct {
		// NextCursor fetches the next page; it is empty on the last one.
		NextCursor string `json:"next_cursor"`
	} `json:"pagination"`
}

// Decode reads the data into out.
func (a Answer) Decode(out any) error {
	if err := json.Unmarshal(a.Data, out); err != nil {
		return fmt.Errorf("understand the service's answer: %w", err)
	}
	return nil
}

// Path joins segments below /api/v1, each escaped.
func Path(segments ...string) string {
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return "/api/v1/" + strings.Join(segments, "/")
}

// Get fetches path.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (Answer, error) {
	return c.send(ctx, http.MethodGet, path, query, nil, nil)
}

// Send makes a request with a JSON body; a nil body sends none.
func (c *Client) Send(ctx context.Context, method, path string, query url.Values, body any) (Answer, error) {
	return c.SendOnce(ctx, "", method, path, query, body)
}

// SendOnce is Send under an Idempotency-Key, which makes some requests safe to repeat; an empty one sends none.
func (c *Client) SendOnce(ctx context.Context, key, method, path string, query url.Values, body any) (Answer, error) {
	if body == nil {
		return c.send(ctx, method, path, query, nil, nil)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return Answer{}, fmt.Errorf("encode request: %w", err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	return c.send(ctx, method, path, query, bytes.NewReader(encoded), header)
}

func (c *Client) send(
	ctx context.Context, method, path string, query url.Values, body io.Reader, header http.Header,
) (Answer, error) {
	target := strings.TrimSuffix(c.base.String(), "/") + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return Answer{}, fmt.Errorf("make request: %w", err)
	}
	maps.Copy(request.Header, header)
	request.Header.Set("Accept", "application/json, application/problem+json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Answer{}, c.unreachable(ctx, err)
	}
	defer func() { _ = response.Body.Close() }() // Everything wanted has been read.
	return c.read(ctx, response)
}

func (c *Client) read(ctx context.Context, response *http.Response) (Answer, error) {
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return Answer{}, c.unreachable(ctx, err)
	case len(content) > maxAnswerBytes:
		return Answer{}, fmt.Errorf("the service's answer is larger than %d MiB", maxAnswerBytes>>20)
	case response.StatusCode >= http.StatusMultipleChoices:
		return Answer{}, c.problem(response, content)
	case len(content) == 0:
		return Answer{}, nil
	}
	var answer Answer
	if err := json.Unmarshal(content, &answer); err != nil || answer.Data == nil {
		return Answer{}, fmt.Errorf("%s does not speak Attune's API: its answer is not {\"data\": …}", c.base)
	}
	return answer, nil
}

// unreachable wraps an error of the transport. One that the caller's own cancellation brought about stays what it is.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// net/http puts the method and the whole URL in front, which the message has already.
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	reason := err
	if dialed, ok := errors.AsType[*net.OpError](err); ok && dialed.Op == "dial" {
		reason = dialed.Err // The address is in the message already.
	}
	return &attune.Error{
		Code:    attune.CodeUnavailable,
		Message: fmt.Sprintf("cannot reach %s: %v", c.base, reason),
		Cause:   fmt.Errorf("%w: %w", ErrUnreachable, err),
	}
}
