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

// logSource is where a log is read from.
type logSource struct {
	path string
	// attempt counts from 1; 0 is the present one.
	attempt int
}

// tail is a log and how far it has been printed.
type tail struct {
	logSource
	out io.Writer
	// visible shows control characters as signs.
	visible bool
	offset  int64
	// midLine: the last output did not end its line.
	midLine bool
}

// catchUp prints what the log holds beyond what has been printed.
func (t *tail) catchUp(ctx context.Context, c *client.Client) (printed bool, err error) {
	for {
		_, page, err := t.page(ctx, c, t.offset, 0)
		if err != nil {
			return printed, err
		}
		if page.NextOffset <= t.offset {
			return printed, nil
		}
		if t.visible {
			page.Content = visible(page.Content)
		}
		writef(t.out, "%s", page.Content)
		t.midLine = !strings.HasSuffix(page.Content, "\n")
		t.offset, printed = page.NextOffset, true
		if t.offset >= page.TotalSize {
			return printed, nil
		}
	}
}

// page fetches a piece of a log; limit 0 leaves its size to the service.
func (l logSource) page(
	ctx context.Context, c *client.Client, offset, limit int64,
) (client.Answer, attune.LogPage, error) {
	query := url.Values{"offset": {strconv.FormatInt(offset, 10)}}
	if limit > 0 {
		query.Set("limit", strconv.FormatInt(limit, 10))
	}
	if l.attempt > 0 {
		query.Set("attempt", strconv.Itoa(l.attempt))
	}
	var page attune.LogPage
	answer, err := c.Get(ctx, l.path, query)
	if err == nil {
		err = answer.Decode(&page)
	}
	return answer, page, err
}

// printLogPages prints each page of a log as the document that the API returns.
func (s *session) printLogPages(ctx context.Context, c *client.Client, source logSource) error {
	for offset := int64(0); ; {
		answer, page, err := source.page(ctx, c, offset, 0)
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
func logEnd(ctx context.Context, c *client.Client, source logSource) (string, error) {
	_, page, err := source.page(ctx, c, 0, 1)
	if err != nil || page.TotalSize == 0 {
		return "", err
	}
	start := max(0, page.TotalSize-logTailBytes)
	_, page, err = source.page(ctx, c, start, logTailBytes)
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
