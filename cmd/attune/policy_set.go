package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"attune"
)

// policySetCommand sets the policy of a scope, from flags or from a file. The numbers are checked by the service.
type policySetCommand struct {
	scopeArgument
	policyFlags
	File string `placeholder:"FILE" help:"Read the whole policy from a YAML or JSON file instead of the flags; - is stdin."`
}

// policyFlags are the members of a policy.
type policyFlags struct {
	Limit      *int          `placeholder:"N" help:"Executions that hold a slot at one instant."`
	Key        []string      `placeholder:"PARAM" help:"For an action: each value of these parameters has its own queue, with --limit slots."`
	Total      *int          `placeholder:"N" help:"With --key: the slots of all its values together."`
	Method     attune.Method `enum:",enqueue,cancel_oldest,reject" default:"" placeholder:"METHOD" help:"What happens to a submission that finds no free slot: enqueue, cancel_oldest or reject."`
	Rate       string        `placeholder:"N/TIME" help:"Starts within any span of this length: 100/1h."`
	Quota      string        `placeholder:"N/TIME" help:"Submissions within a period, counted from midnight UTC: 10000/1d."`
	MaxWaiting *int          `placeholder:"N" help:"Executions that wait; a submission beyond it is refused."`
	MaxWait    string        `placeholder:"TIME" help:"Longest wait; an execution that waits longer ends as timeout."`
}

// Help is the long text of `attune policy set --help`.
func (*policySetCommand) Help() string {
	return `The whole policy is replaced: what you leave out is not bounded, and a file with {} lifts every bound. It holds
from the next start and the next submission on. Executions that run go on, and those that wait keep their position.

Global, pack and action policies all hold at the same time. A TIME is a number with its unit: 90s, 10m, 1h, 1d, 1d12h.

Examples:

    attune policy set global --limit 64
    attune policy set weather --limit 8 --quota 10000/1d
    attune policy set weather.report --limit 1 --key city --total 4 --rate 100/1h --max-wait 10m
    attune policy show weather.report --json | jq .policy > policy.json
    attune policy set weather.report --file policy.json
    echo '{concurrency: {limit: 2}, max_waiting: 500}' | attune policy set weather.report --file -
`
}

// Run does what the type says.
func (p *policySetCommand) Run(ctx context.Context, s *session) error {
	name, err := p.name()
	if err != nil {
		return err
	}
	policy, err := p.policy(s.stdin)
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.Send(ctx, http.MethodPut, scopePath(name), nil, policy)
	if err != nil || s.JSON {
		return orPrint(err, s, answer)
	}
	var set attune.ScopedPolicy
	if err := answer.Decode(&set); err != nil {
		return err
	}
	s.printPolicy(set)
	return nil
}

// policy is the body of the request. A file is sent as it is: it is the service that knows the members.
func (p *policySetCommand) policy(stdin io.Reader) (json.RawMessage, error) {
	fromFlags, err := p.policyFlags.policy()
	if err != nil {
		return nil, err
	}
	given := fromFlags != (attune.Policy{})
	switch {
	case given && p.File != "":
		return nil, usagef("--file has the whole policy: give it or the other flags")
	case p.File != "":
		return readPolicy(p.File, stdin)
	case !given:
		return nil, usagef("say what bounds the scope, such as --limit 4; a --file with {} lifts every bound")
	default:
		return json.Marshal(fromFlags)
	}
}

func (f policyFlags) policy() (attune.Policy, error) {
	p := attune.Policy{MaxWaiting: f.MaxWaiting}
	switch {
	case f.Limit != nil:
		p.Concurrency = &attune.Concurrency{Limit: *f.Limit, Key: f.Key, Total: f.Total, Method: f.Method}
	case len(f.Key) > 0 || f.Total != nil || f.Method != "":
		return p, usagef("--key, --total and --method go with --limit")
	}
	if f.Rate != "" {
		n, err := parseFrequency("--rate", f.Rate)
		if err != nil {
			return p, err
		}
		p.RateLimit = &attune.RateLimit{MaxExecutions: n.executions, WindowSeconds: n.seconds}
	}
	if f.Quota != "" {
		n, err := parseFrequency("--quota", f.Quota)
		if err != nil {
			return p, err
		}
		p.Quota = &attune.Quota{MaxExecutions: n.executions, PeriodSeconds: n.seconds}
	}
	if f.MaxWait != "" {
		seconds, err := parseSpan("--max-wait", f.MaxWait)
		if err != nil {
			return p, err
		}
		p.MaxWaitSeconds = &seconds
	}
	return p, nil
}

func parseFrequency(flag, text string) (frequency, error) {
	count, length, ok := strings.Cut(text, "/")
	n, err := strconv.Atoi(count)
	if !ok || err != nil {
		return frequency{}, usagef("%s %s: write a number and a time, such as 100/1h", flag, text)
	}
	seconds, err := parseSpan(flag, length)
	return frequency{n, seconds}, err
}

// maxPolicyBytes is more than any policy has.
const maxPolicyBytes = 64 << 10

func readPolicy(path string, stdin io.Reader) (json.RawMessage, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, usagef("read the policy: %v", err)
		}
		defer func() { _ = file.Close() }()
		stdin = file
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxPolicyBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the policy: %w", err)
	case len(text) > maxPolicyBytes:
		return nil, usagef("the policy is larger than %d KiB", maxPolicyBytes>>10)
	}
	document, err := yaml.YAMLToJSON(bytes.TrimPrefix(text, []byte("\ufeff")))
	if err != nil {
		return nil, usagef("the policy is not YAML: %v", err)
	}
	if !bytes.HasPrefix(document, []byte("{")) {
		return nil, usagef("the policy is not an object: write members such as concurrency, or {} for no bound at all")
	}
	return document, nil
}
