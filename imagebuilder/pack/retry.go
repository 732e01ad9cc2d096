package pack

import (
	"slices"

	"attune"
)

// retry reads which failures are tried again; nil when none is.
func (v value) retry() *attune.Retry {
	if !v.object() {
		return nil
	}
	r := &attune.Retry{
		MaxAttempts:    int(v.at("max_attempts").integer(1)),
		BackoffSeconds: v.at("backoff_seconds").number(attune.DefaultBackoffSeconds),
		Reasons:        v.at("reasons").retryReasons(),
		ExitCodes:      v.at("exit_codes").exitCodes(),
	}
	// Long pauses without a ceiling are not meant to be cut.
	ceiling := v.at("max_backoff_seconds")
	r.MaxBackoffSeconds = ceiling.number(max(attune.DefaultMaxBackoffSeconds, r.BackoffSeconds))
	if r.MaxBackoffSeconds < r.BackoffSeconds {
		ceiling.refuse("must not be below backoff_seconds, which is %v", r.BackoffSeconds)
	}
	exits := func(reason attune.Reason) bool {
		return reason == attune.ReasonExitCode || reason == attune.ReasonException
	}
	if len(r.ExitCodes) > 0 && len(r.Reasons) > 0 && !slices.ContainsFunc(r.Reasons, exits) {
		v.at("exit_codes").refuse("narrows %s and %s, and reasons has neither",
			attune.ReasonExitCode, attune.ReasonException)
	}
	if r.MaxAttempts == 1 {
		return nil
	}
	return r
}

// retryReasons reads a list of those that may be tried again.
func (v value) retryReasons() []attune.Reason {
	var reasons []attune.Reason
	for i, text := range v.atLeastOne("names no reason; leave it out for all of them").texts() {
		if known := v.rule.Items.Enum; text != "" && !slices.Contains(known, text) {
			v.item(i).refuse("%q is not a reason to try again%s", text, meantOrKnown(text, known))
		}
		reasons = append(reasons, attune.Reason(text))
	}
	return reasons
}

// exitCodes reads a list of distinct exit statuses; 0 is no failure.
func (v value) exitCodes() []int {
	var codes []int
	for _, item := range v.atLeastOne("names no exit status; leave it out for all of them").list() {
		code := int(item.integer(0))
		switch {
		case !item.given():
			item.refuse("is empty")
		case code > 0 && slices.Contains(codes, code):
			item.refuse("is there twice")
		}
		codes = append(codes, code)
	}
	return codes
}

// atLeastOne refuses a list without items: it would mean the default, and its author meant none.
func (v value) atLeastOne(otherwise string) value {
	if v.given() {
		if list, ok := v.node.value.([]*yamlNode); ok && len(list) < v.rule.MinItems {
			v.refuse("%s", otherwise)
		}
	}
	return v
}
