package scheduler

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"attune"
)

// Submission asks for one run of an action.
type Submission struct {
	// Action is a ref or an id.
	Action string
	// Parameters is a JSON object; nil is an empty one.
	Parameters json.RawMessage
}

// submitAttempts bounds how often a submission starts over because what it relied on changed under it.
const submitAttempts = 5

// Submit puts an execution at the end of its queue and returns it with its position. When it returns without an error the
// execution is durable, and it will reach exactly one terminal state.
//
// Errors for people: CodeNotFound (the action), CodeInvalid (parameters, or a secret that is declared and not set),
// CodeRejected (a policy; RetryAfter says when to come back).
func (q *Queue) Submit(ctx context.Context, s Submission) (attune.Execution, error) {
	for attempt := range submitAttempts {
		e, err := q.check(ctx, s, attempt > 0)
		if err != nil {
			return attune.Execution{}, err
		}
		at, err := q.submissions.do(ctx, e)
		if err != nil {
			return attune.Execution{}, err
		}
		if at != nil && at.MayExpire {
			q.signalAll()
		} else if at != nil {
			q.signal()
		}
		if at != nil {
			return e.execution(at), nil
		}
		// A policy has more to say, or what was checked is outdated. The slower way finds out which.
		all, err := q.enqueueByPolicy(ctx, nil, []entry{e})
		if isOutdated(err) {
			continue
		}
		if err != nil {
			return attune.Execution{}, err
		}
		return all[0], nil
	}
	return attune.Execution{}, errBusy(s.Action)
}

// SubmitBatch queues all submissions or none, in their order. With once it may be repeated: see Once. The Field of each
// problem begins with "executions.<index>.".
func (q *Queue) SubmitBatch(ctx context.Context, once *Once, all []Submission) ([]attune.Execution, error) {
	if made, err := q.replayed(ctx, once); made != nil || err != nil {
		return made, err
	}
	for attempt := range submitAttempts {
		entries := make([]entry, len(all))
		for i, s := range all {
			var err error
			if entries[i], err = q.check(ctx, s, attempt > 0); err != nil {
				return nil, ofMember(i, err)
			}
		}
		made, err := q.enqueueByPolicy(ctx, once, entries)
		if !isOutdated(err) {
			return made, err
		}
	}
	return nil, errBusy(all[0].Action)
}

// SubmitOnce is Submit, repeatable.
func (q *Queue) SubmitOnce(ctx context.Context, once Once, s Submission) (attune.Execution, error) {
	if made, err := q.replayed(ctx, &once); err != nil {
		return attune.Execution{}, err
	} else if len(made) == 1 {
		return made[0], nil
	}
	for attempt := range submitAttempts {
		e, err := q.check(ctx, s, attempt > 0)
		if err != nil {
			return attune.Execution{}, err
		}
		made, err := q.enqueueByPolicy(ctx, &once, []entry{e})
		if err == nil {
			return made[0], nil
		}
		if !isOutdated(err) {
			return attune.Execution{}, err
		}
	}
	return attune.Execution{}, errBusy(s.Action)
}

func errBusy(action string) error {
	return attune.Errorf(attune.CodeConflict, "the pack or the policy of %s is being changed; try again", action)
}

// entry is a submission that has been checked.
type entry struct {
	action     *installedAction
	queue      int32
	parameters json.RawMessage
}

// check validates what can be known before anything is queued, and fills in the defaults of parameters.
func (q *Queue) check(ctx context.Context, s Submission, fresh bool) (entry, error) {
	action, err := q.actions.get(ctx, s.Action, fresh)
	if err != nil {
		return entry{}, err
	}
	parameters := s.Parameters
	if len(bytes.TrimSpace(parameters)) == 0 {
		parameters = json.RawMessage(`{}`)
	}
	if parameters, err = action.schema.Apply("parameters", parameters); err != nil {
		return entry{}, err
	}
	if len(action.Secrets) > 0 {
		missing, err := q.db.Secrets.Missing(ctx, action.Ref, action.Secrets)
		if err != nil {
			return entry{}, err
		}
		if len(missing) > 0 {
			return entry{}, missingSecrets(action.Ref, missing)
		}
	}
	queue, err := q.actions.queue(ctx, action, parameters)
	return entry{action, queue, parameters}, err
}

// execution is what becomes of an entry that was given a place.
func (e entry) execution(at *place) attune.Execution {
	key, _ := attune.QueueKey(e.action.key, e.parameters) // it was made before
	return attune.Execution{
		ID: at.ID, Action: e.action.Ref, Pack: e.action.Pack, PackVersion: at.PackVersion, ImageDigest: at.ImageDigest, Key: key,
		Status: attune.StatusQueued, Attempt: 1, Parameters: e.parameters, Position: &at.Position, CreatedAt: at.CreatedAt,
	}
}

func missingSecrets(actionRef string, names []string) error {
	problems := make([]attune.Problem, len(names))
	for i, name := range names {
		problems[i] = attune.Problem{
			Field:   "secrets." + name,
			Message: fmt.Sprintf("is not set for the action, its pack or globally; set it with: attune secret set %s --action %s", name, actionRef),
		}
	}
	return attune.Invalid(fmt.Sprintf("%s needs secrets that are not set: %s", actionRef, strings.Join(names, ", ")), problems...)
}

// ofMember says which member of a batch an error is about.
func ofMember(i int, err error) error {
	var said attune.Error
	switch code := attune.CodeOf(err); code {
	case attune.CodeInvalid, attune.CodeNotFound, attune.CodeRejected, attune.CodeMalformed:
		e := asError(err)
		said = *e
	default:
		return err
	}
	field := fmt.Sprintf("executions.%d", i)
	if len(said.Problems) == 0 {
		said.Problems = []attune.Problem{{Field: field, Message: said.Message}}
	} else {
		problems := make([]attune.Problem, len(said.Problems))
		for j, p := range said.Problems {
			p.Field = field + "." + p.Field
			problems[j] = p
		}
		said.Problems = problems
	}
	said.Message = fmt.Sprintf("nothing was queued: executions[%d]: %s", i, said.Message)
	if said.Code == attune.CodeNotFound {
		said.Code = attune.CodeInvalid // the batch was found
	}
	return &said
}
