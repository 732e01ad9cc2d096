package main

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"strings"

	"attune"
	"attune/cmd/attune/internal/client"
)

// tail is a log and how far it has been printed.
type tail struct {
	path   string
	out    io.Writer
	offset int64
	// midLine tells that what was printed last did not end its line.
	midLine bool
}

// catchUp prints what the log holds beyond what has been printed.
func (t *tail) catchUp(ctx context.Context, c *client.Client) (printed bool, err error) {
	for {
		_, page, err := logPage(ctx, c, t.path, t.offset, 0)
		if err != nil {
			return printed, err
		}
		if page.NextOffset <= t.offset {
			return printed, nil
		}
		writef(t.out, "%s", page.Content)
		t.midLine = !strings.HasSuffix(page.Content, "\n")
		t.offset, printed = page.NextOffset, true
		if t.offset >= page.TotalSize {
			return printed, nil
		}
	}
}

// logPage fetches a piece of a log; limit 0 leaves its size to the service.
func logPage(ctx context.Context, c *client.Client, path string, offset, limit int64) (client.Answer, attune.LogPage, error) {
	query := url.Values{"offset": {strconv.FormatInt(offset, 10)}}
	if limit > 0 {
		query.Set("limit", strconv.FormatInt(limit, 10))
	}
	var page attune.LogPage
	answer, err := c.Get(ctx, path, query)
	if err == nil {
		err = answer.Decode(&page)
	}
	return answer, page, err
}

// printLogPages prints each page of a log as the document that the API returns.
func (s *session) printLogPages(ctx context.Context, c *client.Client, path string) error {
	for offset := int64(0); ; {
		answer, page, err := logPage(ctx, c, path, offset, 0)
		if err != nil {
			return err
		}
		if err := s.printJSON(answer.Data); err != nil {
			return err
		}
		if page.NextOffset <= offset || page.NextOffset >= page.TotalSize {
			return nil
		}
		offset = page.NextOffset
	}
}

// logTailBytes is how much of a failed installation's log is shown.
const logTailBytes = 4 << 10

// logEnd reads the last whole lines of a log.
func logEnd(ctx context.Context, c *client.Client, path string) (string, error) {
	_, page, err := logPage(ctx, c, path, 0, 1)
	if err != nil || page.TotalSize == 0 {
		return "", err
	}
	start := max(0, page.TotalSize-logTailBytes)
	_, page, err = logPage(ctx, c, path, start, logTailBytes)
	if err != nil {
		return "", err
	}
	text := page.Content
	if start > 0 {
		_, text, _ = strings.Cut(text, "\n")
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text, nil
}
