package scheduler

import (
	"fmt"
	"time"

	"attune"
)

// summary is an explanation in a sentence. It names no execution: its reader may not be allowed to see others.
func summary(x attune.Explanation) string {
	if x.Position == nil && x.Gate == nil {
		if x.Status.Terminal() {
			return "It is over."
		}
		return fmt.Sprintf("It does not wait: it is %s.", x.Status)
	}
	var text string
	if x.Position != nil {
		text = fmt.Sprintf("It is number %d in its queue, ", *x.Position)
		if *x.Position > 1 && x.Gate != nil {
			text += "and the first of them waits: "
		}
	}
	if x.Gate == nil {
		return text + "and its turn comes at once."
	}
	text += held(*x.Gate)
	if x.ExpectedStartAt != nil && x.Position != nil {
		text += fmt.Sprintf("; expected to start at about %s", x.ExpectedStartAt.UTC().Format(time.RFC3339))
	}
	return text + "."
}

func held(g attune.Gate) string {
	switch g.Kind {
	case attune.GateConcurrency:
		return fmt.Sprintf("%d of %d slots of %s are taken", g.Taken, g.Limit, g.Scope)
	case attune.GateRateLimit:
		return fmt.Sprintf("%d of the %d executions of %s that may start within %s have started",
			g.Taken, g.Limit, g.Scope, time.Duration(g.WindowSeconds)*time.Second)
	case attune.GateBackoff:
		return fmt.Sprintf("It was tried %s and pauses until %s, when it goes to the end of its queue",
			times(g.Taken), g.OpensAt.UTC().Format(time.RFC3339))
	default:
		if g.Limit == 0 {
			return "no worker is alive"
		}
		return fmt.Sprintf("all %d slots of the workers that are alive are taken", g.Limit)
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
