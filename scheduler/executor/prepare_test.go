package executor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"attune"
	"attune/sandbox/sandboxtest/probe"
	"attune/scheduler"
)

func TestDocumentHasWhatTheRunnersRead(t *testing.T) {
	t.Parallel()
	c := scheduler.Claim{ID: "id", Action: "ops.a", Attempt: 1, Parameters: json.RawMessage(`{"n":1}`)}
	got, err := document(c, attune.Action{Env: map[string]string{"LEVEL": "info"}}, map[string]string{"key": "v"})
	const want = `{"secrets":{"key":"v"},"parameters":{"n":1},` +
		`"execution":{"id":"id","action":"ops.a","attempt":1,"env":{"LEVEL":"info"}}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
}

func TestDocumentReachesTheSandbox(t *testing.T) {
	t.Parallel()
	var document []byte
	h := setup(t, func(_ context.Context, p probe.Process) int {
		document, _ = io.ReadAll(p.Stdin)
		return 0
	})
	c := h.claim(t, attune.Action{Secrets: []string{"key"}})
	if err := h.DB.Secrets.Set(t.Context(), "key", attune.Scope{Pack: "ops"}, []byte("very secret")); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, h.run(t, c), attune.StatusCompleted, "")
	if !strings.Contains(string(document), `"secrets":{"key":"very secret"},"parameters":{"n":1}`) {
		t.Errorf("the document is %s", document)
	}
}

func TestWhatIsMissingAtTheStartEndsTheAttempt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		action attune.Action
		has    bool
		remove bool
		status attune.Status
		reason attune.Reason
	}{
		"secret": {attune.Action{Secrets: []string{"key"}}, true, false, attune.StatusFailed, attune.ReasonSecretMissing},
		"image":  {attune.Action{}, false, false, attune.StatusFailed, attune.ReasonImageMissing},
		"pack":   {attune.Action{}, true, true, attune.StatusCancelled, attune.ReasonPackRemoved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, exits(0), func(c *Config) { c.HasImage = hasImage(test.has) })
			c := h.claim(t, test.action)
			if test.remove {
				if _, err := h.DB.Pool().Exec(t.Context(), `delete from packs where ref = 'ops'`); err != nil {
					t.Fatal(err)
				}
			}
			wantOutcome(t, h.run(t, c), test.status, test.reason)
			h.wantKeys(t, c)
		})
	}
}

// away answers after some calls.
func away(calls int) func(context.Context, string) (bool, error) {
	return func(context.Context, string) (bool, error) {
		if calls--; calls >= 0 {
			return false, attune.Errorf(attune.CodeUnavailable, "it is away")
		}
		return true, nil
	}
}

func TestPrepareWaitsForWhatIsAway(t *testing.T) {
	t.Parallel()
	h := setup(t, exits(0), func(c *Config) { c.HasImage = away(2) })
	wantOutcome(t, h.run(t, h.claim(t, attune.Action{})), attune.StatusCompleted, "")
}

func TestPrepareEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, why := range []error{scheduler.ErrCancelled, scheduler.ErrStopping} {
		ctx, end := context.WithCancelCause(t.Context())
		h := setup(t, exits(0), func(c *Config) {
			c.HasImage = func(context.Context, string) (bool, error) {
				end(why)
				return false, attune.Errorf(attune.CodeUnavailable, "it is away")
			}
		})
		if a, err := h.Prepare(ctx, h.claim(t, attune.Action{})); a != nil || !errors.Is(err, why) {
			t.Errorf("got %v, %v, want %v", a, err, why)
		}
	}
}
