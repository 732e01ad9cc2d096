package strictjson

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// What all documents take that are read at one time, in bytes of memory. Small ones have a part of their own, so that
// they need not wait for large ones.
const (
	largeMemory = 128 << 20
	smallMemory = 32 << 20
	smallBytes  = 64 << 10
	// memoryFactor is what reading and checking a document takes at most, for each byte of its text.
	memoryFactor = 16
)

var (
	large = semaphore.NewWeighted(largeMemory)
	small = semaphore.NewWeighted(smallMemory)
)

// Reserve waits until there is memory for a document of so many bytes. What is reserved is released as soon as the
// document is dropped; until then, nothing waits for anything but the processor. The error is that of ctx.
func Reserve(ctx context.Context, bytes int) (release func(), err error) {
	memory, most := large, int64(largeMemory)
	if bytes <= smallBytes {
		memory, most = small, smallMemory
	}
	n := min(int64(bytes)*memoryFactor, most)
	if err := memory.Acquire(ctx, n); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { memory.Release(n) }, nil
}
