package pack

import (
	"slices"

	"attune"
)

// inlinePolicy reads the policy that stands in an action's own file.
func (v value) inlinePolicy(of *definedAction) attune.Policy {
	if !v.object() {
		return attune.Policy{}
	}
	if of.ref != "" {
		v.claimPolicy(of.ref)
	}
	return v.policy(of)
}

// policy reads the fields of a policy. It is the whole pack's where of is nil.
func (v value) policy(of *definedAction) attune.Policy {
	policy := attune.Policy{
		Concurrency:    v.at("concurrency").concurrency(of),
		MaxWaiting:     v.at("max_waiting").optional(),
		MaxWaitSeconds: v.at("max_wait_seconds").optional(),
	}
	if rate := v.at("rate_limit"); rate.object() {
		policy.RateLimit = &attune.RateLimit{
			MaxExecutions: int(rate.at("max_executions").integer(1)),
			WindowSeconds: int(rate.at("window_seconds").integer(1)),
		}
	}
	if quota := v.at("quota"); quota.object() {
		policy.Quota = &attune.Quota{
			MaxExecutions: int(quota.at("max_executions").integer(1)),
			PeriodSeconds: int(quota.at("period_seconds").integer(1)),
		}
	}
	return policy
}

func (v value) concurrency(of *definedAction) *attune.Concurrency {
	if !v.object() {
		return nil
	}
	key, total := v.at("key"), v.at("total")
	c := &attune.Concurrency{
		Limit:  int(v.at("limit").integer(1)),
		Key:    key.queueKey(of),
		Total:  total.optional(),
		Method: attune.Method(v.at("method").choice()),
	}
	switch {
	case total.given() && of == nil:
		total.refuse("belongs to an action's policy; the limit of a pack is over all its queues as it is")
	case total.given() && !key.given():
		total.refuse("is over the queues of a key, and there is no key; leave it out, limit says it all")
	}
	return c
}

// queueKey reads the names of the parameters whose values make queues of their own: a list, or one string.
func (v value) queueKey(of *definedAction) []string {
	if !v.given() {
		return nil
	}
	if of == nil {
		v.refuse("belongs to an action's policy: the actions of a pack have their own parameters")
		return nil
	}
	if name, ok := v.node.value.(string); ok {
		v.parameterOf(of, name)
		return []string{name}
	}
	names := v.atLeastOne("names no parameter; leave it out for a single queue").texts()
	for i, name := range names {
		if name != "" {
			v.item(i).parameterOf(of, name)
		}
	}
	return names
}

// parameterOf refuses a name that the action's schema does not have: every execution would be in one and the same
// queue. Where the action itself is not found, there is nothing to compare with.
func (v value) parameterOf(of *definedAction, name string) {
	if of.file != "" && !slices.Contains(of.parameters, name) {
		v.refuse("%q is not a parameter of the action%s", name, didYouMean(name, of.parameters))
	}
}
