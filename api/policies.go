package api

import (
	"context"
	"net/http"

	"attune"
)

// policyInputBody is attune.Policy as people send it: the same members, with the bounds that the vocabulary sets. A
// number is at least 1 and a member is known, or the answer names it.
type policyInputBody struct {
	Concurrency    *concurrencyInputBody `json:"concurrency,omitempty" doc:"Executions that hold a slot at one instant."`
	RateLimit      *rateLimitInputBody   `json:"rate_limit,omitempty" doc:"Starts within any span of the window's length."`
	Quota          *quotaInputBody       `json:"quota,omitempty" doc:"Submissions within a period; periods follow each other from midnight UTC."`
	MaxWaiting     *int                  `json:"max_waiting,omitempty" minimum:"1" maximum:"1000000" doc:"Executions that wait; a submission beyond it is refused."`
	MaxWaitSeconds *int                  `json:"max_wait_seconds,omitempty" minimum:"1" maximum:"31622400" doc:"Longest wait; an execution that waits longer ends as timeout, for queue_timeout."`
}

type concurrencyInputBody struct {
	Limit  int           `json:"limit" minimum:"1" maximum:"1000000" doc:"Slots; with a key, the slots of each value of the key."`
	Key    []string      `json:"key,omitempty" maxItems:"8" uniqueItems:"true" nullable:"false" doc:"Parameters; each combination of their values has a queue of its own. For an action only."`
	Total  *int          `json:"total,omitempty" minimum:"1" maximum:"1000000" doc:"With a key, the slots of all its values together. For an action only."`
	Method attune.Method `json:"method,omitempty" enum:"enqueue,cancel_oldest,reject" doc:"What happens to a submission that finds no free slot; enqueue when absent."`
}

type rateLimitInputBody struct {
	MaxExecutions int `json:"max_executions" minimum:"1" maximum:"1000000" doc:"Starts within a window."`
	WindowSeconds int `json:"window_seconds" minimum:"1" maximum:"31622400" doc:"Length of the window."`
}

type quotaInputBody struct {
	MaxExecutions int `json:"max_executions" minimum:"1" maximum:"1000000" doc:"Submissions within a period."`
	PeriodSeconds int `json:"period_seconds" minimum:"1" maximum:"31622400" doc:"Length of the period; 86400 is a day."`
}

type putGlobalPolicyInput struct {
	Body policyInputBody
}

type putPackPolicyInput struct {
	Ref  string `path:"ref" maxLength:"63" example:"weather" doc:"The pack's ref."`
	Body policyInputBody
}

type actionPolicyInput struct {
	Ref string `path:"ref" maxLength:"127" example:"weather.forecast" doc:"The action's ref."`
}

type putActionPolicyInput struct {
	Ref  string `path:"ref" maxLength:"127" example:"weather.forecast" doc:"The action's ref."`
	Body policyInputBody
}

func (s *server) policyRoutes() {
	register(s, operation{
		id: "list-policies", list: true, method: http.MethodGet, path: "/policies", tag: "policies", status: http.StatusOK,
		summary:     "List the policies in force",
		description: "A policy of a pack or an action comes from the pack's files, unless an admin has set another.",
		response:    page[attune.ScopedPolicy]{Data: []attune.ScopedPolicy{exampleActionPolicy}},
	}, s.listPolicies)
	const global, pack, action = "/policies/global", "/policies/packs/{ref}", "/policies/actions/{ref}"
	register(s, putPolicy("global", global, "Set the global policy", exampleGlobalPolicy), s.putGlobalPolicy)
	register(s, deletePolicy("global", global, "Delete the global policy"), s.deleteGlobalPolicy)
	register(s, putPolicy("pack", pack, "Set the policy of a pack", examplePackPolicy), s.putPackPolicy)
	register(s, deletePolicy("pack", pack, "Return to the pack's own policy"), s.deletePackPolicy)
	register(s, putPolicy("action", action, "Set the policy of an action", exampleActionPolicy), s.putActionPolicy)
	register(s, deletePolicy("action", action, "Return to the pack's policy for an action"), s.deleteActionPolicy)
}

func putPolicy(scope, path, summary string, example attune.ScopedPolicy) operation {
	return operation{
		id: "put-" + scope + "-policy", method: http.MethodPut, path: path, tag: "policies",
		status: http.StatusOK, summary: summary,
		description: "It replaces the whole policy in force, also the pack's; {} bounds nothing. It holds from the next " +
			"start and the next submission on: executions that run go on, and those that wait keep their position.",
		errors:  []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		request: example.Policy, response: envelope[attune.ScopedPolicy]{Data: example},
		unknownIsInvalid: true,
	}
}

func deletePolicy(scope, path, summary string) operation {
	return operation{
		id: "delete-" + scope + "-policy", method: http.MethodDelete, path: path, tag: "policies",
		status: http.StatusNoContent, summary: summary, errors: []int{http.StatusNotFound},
	}
}

func (s *server) listPolicies(ctx context.Context, _ *struct{}) (*listResponse[attune.ScopedPolicy], error) {
	policies, err := s.DB.Policies.List(ctx, allowed(ctx))
	if err != nil {
		return nil, err
	}
	return respondList(policies, ""), nil
}

func (s *server) putGlobalPolicy(
	ctx context.Context, in *putGlobalPolicyInput,
) (*response[attune.ScopedPolicy], error) {
	if err := boundsAll(ctx); err != nil {
		return nil, err
	}
	return s.setPolicy(ctx, attune.Scope{}, in.Body)
}

func (s *server) deleteGlobalPolicy(ctx context.Context, _ *struct{}) (*struct{}, error) {
	if err := boundsAll(ctx); err != nil {
		return nil, err
	}
	return nil, s.Queue.DeletePolicy(ctx, attune.Scope{})
}

func (s *server) putPackPolicy(ctx context.Context, in *putPackPolicyInput) (*response[attune.ScopedPolicy], error) {
	scope, err := packScope(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	return s.setPolicy(ctx, scope, in.Body)
}

func (s *server) deletePackPolicy(ctx context.Context, in *packInput) (*struct{}, error) {
	scope, err := packScope(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	return nil, s.Queue.DeletePolicy(ctx, scope)
}

func (s *server) putActionPolicy(
	ctx context.Context, in *putActionPolicyInput,
) (*response[attune.ScopedPolicy], error) {
	scope, err := actionScope(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	return s.setPolicy(ctx, scope, in.Body)
}

func (s *server) deleteActionPolicy(ctx context.Context, in *actionPolicyInput) (*struct{}, error) {
	scope, err := actionScope(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	return nil, s.Queue.DeletePolicy(ctx, scope)
}

func (s *server) setPolicy(
	ctx context.Context, scope attune.Scope, body policyInputBody,
) (*response[attune.ScopedPolicy], error) {
	if err := checkKey(scope, body.Concurrency); err != nil {
		return nil, err
	}
	set, err := s.Queue.SetPolicy(ctx, scope, body.policy())
	if err != nil {
		return nil, err
	}
	return respond(set), nil
}

// policy is the body in the vocabulary; the compiler checks that the two have the same members.
func (b policyInputBody) policy() attune.Policy {
	return attune.Policy{
		Concurrency: (*attune.Concurrency)(b.Concurrency),
		RateLimit:   (*attune.RateLimit)(b.RateLimit),
		Quota:       (*attune.Quota)(b.Quota),
		MaxWaiting:  b.MaxWaiting, MaxWaitSeconds: b.MaxWaitSeconds,
	}
}

// checkKey checks that only an action has a concurrency key; the queue checks that its names are parameters.
func checkKey(scope attune.Scope, c *concurrencyInputBody) error {
	switch {
	case c == nil:
		return nil
	case scope.Action == "" && len(c.Key) > 0:
		return wrongValue("concurrency.key", "belongs to an action, whose parameters it names")
	case scope.Action == "" && c.Total != nil:
		return wrongValue("concurrency.total", "belongs to an action with a key; here, limit is over everything")
	case c.Total != nil && len(c.Key) == 0:
		return wrongValue("concurrency.total", "goes with a key; without one, limit is over everything")
	default:
		return nil
	}
}

// boundsAll refuses tokens that are limited to packs: a global policy bounds all packs.
func boundsAll(ctx context.Context) error {
	if seesAll(ctx) {
		return nil
	}
	return attune.Errorf(attune.CodeForbidden, "a token that is limited to packs cannot set the global policy")
}

// packScope is the scope of a pack that the caller's token reaches.
func packScope(ctx context.Context, ref string) (attune.Scope, error) {
	if !attune.ValidPackRef(ref) || !sees(ctx, ref) {
		return attune.Scope{}, notFound("pack", ref)
	}
	return attune.Scope{Pack: ref}, nil
}

// actionScope is the scope of an action whose pack the caller's token reaches.
func actionScope(ctx context.Context, ref string) (attune.Scope, error) {
	pack, _, ok := attune.SplitActionRef(ref)
	if !ok || !sees(ctx, pack) {
		return attune.Scope{}, notFound("action", ref)
	}
	return attune.Scope{Action: ref}, nil
}
