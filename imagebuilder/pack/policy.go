package pack

import (
	"fmt"
	"slices"

	"attune"
	"attune/internal/nearest"
)

// policyFields are those of a policy, in an action and in a file of its own.
var policyFields = []string{"concurrency", "rate_limit", "quota", "max_waiting", "max_wait_seconds"}

// inlinePolicy reads the policy that stands in an action's own file.
func (p place) inlinePolicy(of *definedAction) attune.Policy {
	fields, ok := p.members(policyFields...)
	if !ok {
		return attune.Policy{}
	}
	if of.ref != "" {
		p.claim(of.ref)
	}
	return fields.policy(of)
}

// policy reads the members of a policy. It is the whole pack's where of is nil.
func (m members) policy(of *definedAction) attune.Policy {
	policy := attune.Policy{
		Concurrency:    m.at("concurrency").concurrency(of),
		MaxWaiting:     m.at("max_waiting").bound(attune.MaxConcurrency),
		MaxWaitSeconds: m.at("max_wait_seconds").bound(attune.MaxPolicySeconds),
	}
	if executions, seconds, ok := m.at("rate_limit").executionsIn("window_seconds"); ok {
		policy.RateLimit = &attune.RateLimit{MaxExecutions: executions, WindowSeconds: seconds}
	}
	if executions, seconds, ok := m.at("quota").executionsIn("period_seconds"); ok {
		policy.Quota = &attune.Quota{MaxExecutions: executions, PeriodSeconds: seconds}
	}
	return policy
}

// bound reads a number from 1 to most; nil is none.
func (p place) bound(most int64) *int {
	if !p.given() {
		return nil
	}
	n := int(p.integer(1, 1, most))
	return &n
}

// executionsIn reads a number of executions and the length of the time that it is for, which is given in the named member.
func (p place) executionsIn(length string) (executions, seconds int, ok bool) {
	fields, ok := p.members("max_executions", length)
	if !ok {
		return 0, 0, false
	}
	executions = int(fields.at("max_executions").required().integer(1, 1, attune.MaxRate))
	seconds = int(fields.at(length).required().integer(1, 1, attune.MaxPolicySeconds))
	return executions, seconds, true
}

func (p place) concurrency(of *definedAction) *attune.Concurrency {
	fields, ok := p.members("limit", "key", "total", "method")
	if !ok {
		return nil
	}
	c := &attune.Concurrency{
		Limit: int(fields.at("limit").required().integer(1, 1, attune.MaxConcurrency)),
		Key:   fields.at("key").queueKey(of),
		Total: fields.at("total").bound(attune.MaxConcurrency),
		Method: attune.Method(fields.at("method").choice(
			string(attune.MethodEnqueue), string(attune.MethodCancelOldest), string(attune.MethodReject))),
	}
	switch total := fields.at("total"); {
	case total.given() && of == nil:
		total.refuse("belongs to an action's policy; the limit of a pack is over all its queues as it is")
	case total.given() && !fields.at("key").given():
		total.refuse("is over the queues of a key, and there is no key; leave it out, limit says it all")
	}
	return c
}

// queueKey reads the names of the parameters whose values tell queues apart: a list, or one string.
func (p place) queueKey(of *definedAction) []string {
	if !p.given() {
		return nil
	}
	if of == nil {
		p.refuse("belongs to an action's policy: the actions of a pack have their own parameters")
		return nil
	}
	if name, ok := p.node.value.(string); ok {
		p.parameterOf(of, name)
		return []string{name}
	}
	list, isList := p.node.value.([]*yamlNode)
	if isList && len(list) == 0 {
		p.refuse("names no parameter; leave it out for a single queue")
	}
	names := p.texts(attune.MaxKeyParameters, maxYAMLBytes)
	for i, name := range names {
		if name != "" {
			p.item(i).parameterOf(of, name)
		}
	}
	return names
}

// parameterOf refuses a name that the action's schema does not have: every execution would be in one and the same queue.
// Where the action itself is not found, there is nothing to compare with.
func (p place) parameterOf(of *definedAction, name string) {
	if of.file != "" && !slices.Contains(of.parameters, name) {
		p.refuse("%q is not a parameter of the action%s", name, didYouMean(name, of.parameters))
	}
}

// didYouMean ends a sentence about a name that is none of the candidates.
func didYouMean(name string, candidates []string) string {
	if near := nearest.Name(name, candidates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}
