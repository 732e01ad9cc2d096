package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"

	"attune"
)

// heldBatcher is a batcher whose flushes wait until they are released.
type heldBatcher struct {
	batcher[int, int]
	entered chan []int
	release chan error
}

func newHeldBatcher() *heldBatcher {
	h := &heldBatcher{entered: make(chan []int), release: make(chan error)}
	h.flush = func(ctx context.Context, in []int) ([]int, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		h.entered <- in
		out := make([]int, len(in))
		for i, n := range in {
			out[i] = -n
		}
		return out, <-h.release
	}
	return h
}

// pending waits until so many calls wait for the flush that is under way.
func (h *heldBatcher) pending(t *testing.T, n int) {
	t.Helper()
	for t.Context().Err() == nil {
		h.mu.Lock()
		got := len(h.waiting)
		h.mu.Unlock()
		if got == n {
			return
		}
	}
}

func TestBatcherCarriesWhatArrivesMeanwhile(t *testing.T) {
	t.Parallel()
	h := newHeldBatcher()
	h.size = func(n int) int { return n }
	var calls sync.WaitGroup
	call := func(ctx context.Context, n int, wantErr error) {
		calls.Go(func() {
			if out, err := h.do(ctx, n); !errors.Is(err, wantErr) || err == nil && out != -n {
				t.Errorf("%d got %d, %v", n, out, err)
			}
		})
	}
	broken := errors.New("broken")
	gone, cancel := context.WithCancel(t.Context())
	call(t.Context(), 1, nil)
	if first := <-h.entered; !slices.Equal(first, []int{1}) {
		t.Errorf("the first flush carries %v", first)
	}
	for i, n := range []int{2, 3, 4} {
		call(gone, n, broken)
		h.pending(t, i+1)
	}
	call(t.Context(), flushBytes, nil)
	h.pending(t, 4)
	call(t.Context(), 2*flushBytes, nil)
	h.pending(t, 5)
	cancel() // the end of one caller does not end a flush that carries others
	for _, step := range []struct {
		answer error
		next   []int
	}{{nil, []int{2, 3, 4}}, {broken, []int{flushBytes}}, {nil, []int{2 * flushBytes}}} {
		h.release <- step.answer
		if next := <-h.entered; !slices.Equal(next, step.next) {
			t.Errorf("the next flush carries %v, want %v", next, step.next)
		}
	}
	h.release <- nil
	calls.Wait()
	call(t.Context(), 7, nil)
	<-h.entered
	h.release <- nil
	calls.Wait()
}

func TestBatcherCarriesAtMost(t *testing.T) {
	t.Parallel()
	h := newHeldBatcher()
	var calls sync.WaitGroup
	call := func(n int) {
		calls.Go(func() {
			if out, err := h.do(t.Context(), n); out != -n || err != nil {
				t.Errorf("%d got %d, %v", n, out, err)
			}
		})
	}
	call(1)
	<-h.entered
	for n := range flushCalls + 2 {
		call(n)
	}
	h.pending(t, flushCalls+2)
	for _, want := range []int{flushCalls, 2} {
		h.release <- nil
		if next := <-h.entered; len(next) != want {
			t.Errorf("the next flush carries %d, want %d", len(next), want)
		}
	}
	h.release <- nil
	calls.Wait()
}

// TestRefusedSubmissionDoesNotTakeOthersWithIt: they share a commit, and the database refuses one.
func TestRefusedSubmissionDoesNotTakeOthersWithIt(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 1))
	good, err := q.check(t.Context(), Submission{Action: "ops.a"}, false)
	if err != nil {
		t.Fatal(err)
	}
	bad, later := good, good
	bad.parameters = json.RawMessage(`{"not":json}`)
	later.parameters = json.RawMessage(`{"later":1}`)
	made, err := q.enqueue(t.Context(), []entry{good, bad, later})
	if err != nil || made[0] == nil || made[1] != nil || made[2] == nil {
		t.Fatalf("they became %v, %v", made, err)
	}
	for i, e := range []*enqueued{made[0], made[2]} {
		if got := get(t, q, e.ID); *got.Position != i+1 {
			t.Errorf("number %d has the position %d", i+1, *got.Position)
		}
	}
}

// TestTextThatIsNotUTF8 is the caller's mistake, and not the service's; so is text that some readers refuse.
func TestTextThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 1))
	for _, bad := range []string{"{\"a\":\"\xff\"}", "{\"\xc3\x28\":1}", `{"a":"\ud800"}`, `{"\udfff":1}`} {
		if _, err := q.Submit(t.Context(), Submission{Action: "ops.a",
			Parameters: []byte(bad)}); attune.CodeOf(err) != attune.CodeInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, odd := range []string{`{"a":"\u0000"}`, `{"a":"\ud83d\ude00"}`, `{"a":1e400}`, `{"":{"a":[]}}`} {
		e := submitWith(t, q, "ops.a", odd)
		if got := get(t, q, e.ID); string(got.Parameters) != odd {
			t.Errorf("%s is kept as %s", odd, got.Parameters)
		}
	}
}
