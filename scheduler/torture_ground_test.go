package scheduler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"attune"
)

// ground is the host that all workers of a test share: it runs nothing and remembers what it was asked to begin.
type ground struct {
	retries   map[string]*attune.Retry
	immediate bool

	mu     sync.Mutex
	random *rand.Rand // nil where everything is to go well
	// begun counts how often the code of an attempt started.
	begun map[string]int
}

func newGround(random *rand.Rand, retries map[string]*attune.Retry) *ground {
	return &ground{retries: retries, random: random, begun: make(map[string]int)}
}

func (g *ground) Attach(context.Context, []Claim) ([]Claim, error) { return nil, nil }
func (g *ground) Clear(context.Context, []Claim) error             { return nil }
func (g *ground) Settled(context.Context, Claim)                   {}

func (g *ground) Ready() bool { return true }

func (g *ground) Immediate() bool { return g.immediate }

// Execute takes some milliseconds and ends in any way that an action may.
func (g *ground) Execute(ctx context.Context, c Claim, begin func(context.Context) error) (Outcome, *attune.Retry, error) {
	if err := begin(ctx); err != nil {
		return Outcome{}, nil, err
	}
	g.mu.Lock()
	g.begun[fmt.Sprint(c.ID, " attempt ", c.Attempt)]++
	fate, wait := 10, time.Millisecond
	if g.random != nil {
		fate, wait = g.random.IntN(10), time.Duration(g.random.IntN(20))*time.Millisecond
	}
	g.mu.Unlock()
	retry := g.retries[c.Action]
	if !pause(ctx, wait) {
		if errors.Is(context.Cause(ctx), errStopping) {
			return Outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonWorkerStopped}, retry, nil
		}
		return Outcome{Status: attune.StatusCancelled, Reason: attune.ReasonCancelRequested}, retry, nil
	}
	code := 1
	switch fate {
	case 0, 1:
		return Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode, ExitCode: &code}, retry, nil
	case 2:
		return Outcome{Status: attune.StatusTimeout, Reason: attune.ReasonDeadline}, retry, nil
	case 3:
		return Outcome{}, retry, errors.New("no sandbox today")
	default:
		return Outcome{Status: attune.StatusCompleted}, retry, nil
	}
}

// judge demands that no attempt's code started twice.
func (g *ground) judge(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for attempt, n := range g.begun {
		if n > 1 {
			t.Errorf("the code of %s started %d times", attempt, n)
		}
	}
}

func (g *ground) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.begun)
}
