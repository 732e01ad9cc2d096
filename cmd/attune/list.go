package main

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"strconv"

	"attune/cmd/attune/internal/client"
)

// maxPageSize is the most that the service gives at once.
const maxPageSize = 500

// fetchList reads a list page by page, up to limit items; 0 reads it all. The items come both decoded and as they were.
func fetchList[T any](
	ctx context.Context, c *client.Client, path string, query url.Values, limit int,
) (items []T, raw []json.RawMessage, err error) {
	query = maps.Clone(query)
	if query == nil {
		query = url.Values{}
	}
	for {
		if limit > 0 {
			query.Set("limit", strconv.Itoa(min(limit-len(raw), maxPageSize)))
		}
		answer, err := c.Get(ctx, path, query)
		if err != nil {
			return nil, nil, err
		}
		var page []json.RawMessage
		if err := answer.Decode(&page); err != nil {
			return nil, nil, err
		}
		raw = append(raw, page...)
		next := answer.Pagination.NextCursor
		if next == "" || len(page) == 0 || (limit > 0 && len(raw) >= limit) {
			break
		}
		query.Set("cursor", next)
	}
	items = make([]T, len(raw))
	for i, document := range raw {
		if err := (client.Answer{Data: document}).Decode(&items[i]); err != nil {
			return nil, nil, err
		}
	}
	return items, raw, nil
}

// printJSONList prints the items of several pages as one list.
func (s *session) printJSONList(items []json.RawMessage) error {
	if items == nil {
		items = []json.RawMessage{}
	}
	document, err := json.Marshal(items)
	if err != nil {
		return err
	}
	return s.printJSON(document)
}
