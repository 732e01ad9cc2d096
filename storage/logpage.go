package storage

import (
	"context"
	"fmt"

	"attune"
)

// Sizes of a log page.
const (
	DefaultPageBytes = 64 << 10
	MaxPageBytes     = 1 << 20
)

// Page reads a piece of a stream, also while it is being written. running tells that more may follow, so that a
// character whose bytes have not all arrived is left for the next page.
func (l *Logs) Page(ctx context.Context, prefix, stream string, offset, limit int64, running bool) (attune.LogPage, error) {
	return attune.LogPage{}, fmt.Errorf("read %s%s: not built yet", prefix, stream)
}
