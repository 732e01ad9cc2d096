package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"attune"
	"attune/cmd/attune/internal/client"
)

type policyCommands struct {
	List   policyListCommand   `cmd:"" help:"List the policies in force."`
	Show   policyShowCommand   `cmd:"" help:"Describe the policy in force for a scope."`
	Set    policySetCommand    `cmd:"" help:"Set the policy of a scope; it replaces the one in force."`
	Delete policyDeleteCommand `cmd:"" help:"Delete a policy that was set; the pack's own is in force again."`
}

// scopeArgument is the scope of a policy.
type scopeArgument struct {
	Scope string `arg:"" help:"\"global\", a pack, or PACK.ACTION."`
}

// name is the scope in the words of the API. The longer forms, as lists have them, are taken, too: a pack may be called
// global.
func (a scopeArgument) name() (string, error) {
	_, _, isAction := attune.SplitActionRef(a.Scope)
	switch {
	case a.Scope == "global", strings.HasPrefix(a.Scope, "packs/"), strings.HasPrefix(a.Scope, "actions/"):
		return a.Scope, nil
	case isAction:
		return "actions/" + a.Scope, nil
	case attune.ValidPackRef(a.Scope):
		return "packs/" + a.Scope, nil
	default:
		return "", usagef("%q is no scope: write global, a pack's name, or PACK.ACTION", a.Scope)
	}
}

func scopePath(name string) string {
	kind, ref, ok := strings.Cut(name, "/")
	if !ok {
		return client.Path("policies", kind)
	}
	return client.Path("policies", kind, ref)
}

type policyListCommand struct{}

// Run does what the command's help says.
func (*policyListCommand) Run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	policies, raw, err := fetchList[attune.ScopedPolicy](ctx, c, client.Path("policies"), nil, 0)
	if err != nil {
		return err
	}
	if s.JSON {
		return s.printJSONList(raw)
	}
	t := table{header: []string{
		"SCOPE", "SET BY", "LIMIT", "KEY", "TOTAL", "METHOD", "RATE", "QUOTA", "MAX WAITING", "MAX WAIT",
	}}
	for _, p := range policies {
		row := []string{p.Scope, string(p.Origin)}
		for _, bound := range boundsOf(p.Policy) {
			row = append(row, orDash(bound.value))
		}
		t.add(row...)
	}
	s.printTable(t)
	return nil
}

type policyShowCommand struct {
	scopeArgument
}

// Run does what the command's help says.
func (p *policyShowCommand) Run(ctx context.Context, s *session) error {
	name, err := p.name()
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	policies, raw, err := fetchList[attune.ScopedPolicy](ctx, c, client.Path("policies"), nil, 0)
	if err != nil {
		return err
	}
	for i, policy := range policies {
		switch {
		case policy.Scope != name:
		case s.JSON:
			return s.printJSON(raw[i])
		default:
			s.printPolicy(policy)
			return nil
		}
	}
	return attune.Errorf(attune.CodeNotFound, "no policy is in force for %s", name)
}

func (s *session) printPolicy(p attune.ScopedPolicy) {
	fields := []field{{"scope", p.Scope}, {"set by", string(p.Origin)}, {"updated", s.when(&p.UpdatedAt)}}
	s.printFields(append(fields, boundsOf(p.Policy)...))
}

// boundsOf names every bound in the words of the flags that set it; those that are not set have no value.
func boundsOf(p attune.Policy) []field {
	var limit, key, total, method, rate, quota, maxWaiting, maxWait string
	if c := p.Concurrency; c != nil {
		limit, key, total, method = strconv.Itoa(c.Limit), strings.Join(c.Key, ","), number(c.Total), string(c.Method)
	}
	if r := p.RateLimit; r != nil {
		rate = frequency{r.MaxExecutions, r.WindowSeconds}.String()
	}
	if q := p.Quota; q != nil {
		quota = frequency{q.MaxExecutions, q.PeriodSeconds}.String()
	}
	maxWaiting = number(p.MaxWaiting)
	if p.MaxWaitSeconds != nil {
		maxWait = span(*p.MaxWaitSeconds)
	}
	return []field{
		{"limit", limit}, {"key", key}, {"total", total}, {"method", method}, {"rate", rate}, {"quota", quota},
		{"max waiting", maxWaiting}, {"max wait", maxWait},
	}
}

// frequency is a number of executions in a span of seconds, as in 100/1h.
type frequency struct{ executions, seconds int }

func (f frequency) String() string { return strconv.Itoa(f.executions) + "/" + span(f.seconds) }

// span writes seconds in the largest unit that leaves none over.
func span(seconds int) string {
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}} {
		if size := int(unit.size.Seconds()); seconds >= size && seconds%size == 0 {
			return strconv.Itoa(seconds/size) + unit.name
		}
	}
	return strconv.Itoa(seconds) + "s"
}

// number prints one that may be missing.
func number(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

type policyDeleteCommand struct {
	scopeArgument
}

// Run does what the command's help says.
func (p *policyDeleteCommand) Run(ctx context.Context, s *session) error {
	name, err := p.name()
	if err != nil {
		return err
	}
	return s.remove(ctx, scopePath(name), nil, "policy of "+name)
}
