package pack

import (
	"cmp"
	"slices"
	"strings"

	"attune"
)

// maxBackoffSeconds bounds the pause between two attempts: a day.
const maxBackoffSeconds = 24 * 60 * 60

// retry reads which failures are tried again; nil when none is.
func (p place) retry() *attune.Retry {
	fields, ok := p.members("max_attempts", "backoff_seconds", "max_backoff_seconds", "reasons", "exit_codes")
	if !ok {
		return nil
	}
	r := &attune.Retry{
		MaxAttempts:    int(fields.at("max_attempts").required().integer(1, 1, attune.MaxAttempts)),
		BackoffSeconds: fields.at("backoff_seconds").number(attune.DefaultBackoffSeconds, 0, maxBackoffSeconds),
		Reasons:        fields.at("reasons").retryReasons(),
		ExitCodes:      fields.at("exit_codes").exitCodes(),
	}
	// Who asks for long pauses and names no ceiling does not mean to have them cut.
	r.MaxBackoffSeconds = fields.at("max_backoff_seconds").number(max(attune.DefaultMaxBackoffSeconds, r.BackoffSeconds), 0, maxBackoffSeconds)
	if r.MaxBackoffSeconds < r.BackoffSeconds {
		fields.at("max_backoff_seconds").refuse("must not be below backoff_seconds, which is %v", r.BackoffSeconds)
	}
	exits := func(reason attune.Reason) bool {
		return reason == attune.ReasonExitCode || reason == attune.ReasonException
	}
	if len(r.ExitCodes) > 0 && len(r.Reasons) > 0 && !slices.ContainsFunc(r.Reasons, exits) {
		fields.at("exit_codes").refuse("narrows %s and %s, and reasons has neither", attune.ReasonExitCode, attune.ReasonException)
	}
	if r.MaxAttempts == 1 {
		return nil
	}
	return r
}

// retryReasons reads a list of those that may be tried again.
func (p place) retryReasons() []attune.Reason {
	var known []string
	for _, reason := range attune.RetryReasons() {
		known = append(known, string(reason))
	}
	var reasons []attune.Reason
	for i, text := range p.nonEmpty("reason").texts(len(known), 64) {
		if text != "" && !slices.Contains(known, text) {
			p.item(i).refuse("%q is not a reason to try again%s", text, cmp.Or(didYouMean(text, known), "; known are "+strings.Join(known, ", ")))
		}
		reasons = append(reasons, attune.Reason(text))
	}
	return reasons
}

// exitCodes reads a list of distinct exit statuses; 0 is no failure.
func (p place) exitCodes() []int {
	if !p.nonEmpty("exit status").given() {
		return nil
	}
	list, ok := p.node.value.([]*yamlNode)
	if !ok {
		p.wrongType("a list")
		return nil
	}
	var codes []int
	for i := range list {
		at := p.item(i)
		code := int(at.integer(0, 1, 255))
		switch {
		case !at.given():
			at.refuse("is empty")
		case code > 0 && slices.Contains(codes, code):
			at.refuse("is there twice")
		}
		codes = append(codes, code)
	}
	return codes
}

// nonEmpty notes a list without items: it would mean the default, and whoever wrote it meant none.
func (p place) nonEmpty(what string) place {
	if p.given() {
		if list, ok := p.node.value.([]*yamlNode); ok && len(list) == 0 {
			p.refuse("names no %s; leave it out for all of them", what)
		}
	}
	return p
}
