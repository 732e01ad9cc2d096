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

// Submit puts an execution at the end of its queue and returns it with its position. When it returns without an error
// the execution is durable, and it will reach exactly one terminal state.
//
// Errors for people: CodeNotFound (the action), CodeInvalid (parameters, or a secret that is declared and not set),
// CodeRejected (a policy; RetryAfter says when to come back).
func (q *Queue) Submit(ctx context.Context, s Submission) (made attune.Execution, err error) {
	err = whileOutdated(s.Action, func(again bool) error {
		e, err := q.check(ctx, s, again)
		if err != nil {
			return err
		}
		entered, err := q.submissions.do(ctx, e)
		if err != nil {
			return err
		}
		if entered == nil {
			// A policy has more to say, or the check is outdated. The slower way finds out which.
			made, err = first(q.enqueueByPolicy(ctx, nil, []entry{e}))
			return err
		}
		if entered.MayExpire {
			q.signalAll()
		} else {
			q.signal()
		}
		made = e.execution(entered)
		return nil
	})
	return made, err
}

// SubmitOnce is Submit, repeatable by its key.
func (q *Queue) SubmitOnce(ctx context.Context, key IdempotencyKey, s Submission) (made attune.Execution, err error) {
	if found, err := key.find(ctx, q.db.Pool()); found != nil || err != nil {
		return first(found, err)
	}
	err = whileOutdated(s.Action, func(again bool) error {
		e, err := q.check(ctx, s, again)
		if err != nil {
			return err
		}
		made, err = first(q.enqueueByPolicy(ctx, &key, []entry{e}))
		return err
	})
	return made, err
}

// SubmitBatch queues all submissions or none, in their order. With a key, unless it is nil, it is repeatable. The
// Field of each problem begins with "executions.<index>.".
func (q *Queue) SubmitBatch(
	ctx context.Context, key *IdempotencyKey, all []Submission,
) (made []attune.Execution, err error) {
	if made, err := key.find(ctx, q.db.Pool()); made != nil || err != nil {
		return made, err
	}
	err = whileOutdated(all[0].Action, func(again bool) error {
		entries := make([]entry, len(all))
		room := maxBatchBytes
		for i, s := range all {
			var err error
			if entries[i], err = q.check(ctx, s, again); err != nil {
				return ofMember(i, err)
			}
			if room -= len(entries[i].parameters); room < 0 {
				return ofMember(i, tooMuchInBatch)
			}
		}
		made, err = q.enqueueByPolicy(ctx, key, entries)
		return err
	})
	return made, err
}

// maxBatchBytes bounds the parameters of a batch together, with their defaults.
const maxBatchBytes = 16 << 20

var tooMuchInBatch = attune.Invalid("the batch is too large", attune.Problem{
	Field: "parameters", Message: fmt.Sprintf("with the defaults of the action, the parameters up to here have more than "+
		"%d MiB; make smaller batches", maxBatchBytes>>20),
})

func first(made []attune.Execution, err error) (attune.Execution, error) {
	if err != nil {
		return attune.Execution{}, err
	}
	return made[0], nil
}

// submitAttempts bounds how often a submission starts over because what it relied on changed under it.
const submitAttempts = 5

// whileOutdated repeats a submission to an action while what it was checked against has changed; again is then true.
func whileOutdated(action string, submit func(again bool) error) error {
	for attempt := range submitAttempts {
		if err := submit(attempt > 0); !isOutdated(err) {
			return err
		}
	}
	return attune.Errorf(attune.CodeConflict, "the pack or the policy of %s is being changed; try again", action)
}

// entry is a submission that has been checked.
type entry struct {
	action     *installedAction
	queue      int32
	parameters json.RawMessage
}

// check validates what can be known before anything is queued, and fills in the defaults of parameters. fresh says
// that what is remembered of the action was found outdated.
func (q *Queue) check(ctx context.Context, s Submission, fresh bool) (entry, error) {
	action, err := q.actions.get(ctx, s.Action, fresh)
	if err != nil {
		return entry{}, err
	}
	parameters := s.Parameters
	if len(bytes.TrimSpace(parameters)) == 0 {
		parameters = json.RawMessage(`{}`)
	}
	if parameters, err = action.schema.Apply(ctx, "parameters", parameters); err != nil {
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

// execution is what an entry became.
func (e entry) execution(as *enqueued) attune.Execution {
	key, _ := attune.QueueKey(e.action.key, e.parameters) // it was made before
	return attune.Execution{
		ID: as.ID, Action: e.action.Ref, Pack: e.action.Pack, PackVersion: as.PackVersion, ImageDigest: as.ImageDigest,
		Key: key, Status: attune.StatusQueued, Attempt: 1, Parameters: e.parameters, Position: &as.Position,
		CreatedAt: as.CreatedAt,
	}
}

func missingSecrets(actionRef string, names []string) error {
	problems := make([]attune.Problem, len(names))
	for i, name := range names {
		problems[i] = attune.Problem{
			Field: "secrets." + name,
			Message: fmt.Sprintf("is not set for the action, its pack or globally; set it with: "+
				"attune secret set %s --action %s", name, actionRef),
		}
	}
	text := fmt.Sprintf("%s needs secrets that are not set: %s", actionRef, strings.Join(names, ", "))
	return attune.Invalid(text, problems...)
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
