package scheduler

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"attune"
	"attune/internal/jsonschema"
	"attune/storage"
)

// Submission asks for one run of an action.
type Submission struct {
	// Action is a ref or an id.
	Action string
	// Parameters is a JSON object; nil is an empty one.
	Parameters json.RawMessage
}

// submitAttempts bounds how often Submit starts over because the pack's version changed under it.
const submitAttempts = 5

// Submit puts an execution at the end of its action's queue and returns it with its position. When it returns without
// an error the execution is durable, and it will reach exactly one terminal state.
//
// Errors for people: CodeNotFound (the action), CodeInvalid (parameters, or a secret that is declared and not set).
func (q *Queue) Submit(ctx context.Context, s Submission) (attune.Execution, error) {
	for range submitAttempts {
		action, err := q.db.Actions.Get(ctx, s.Action)
		if err != nil {
			return attune.Execution{}, err
		}
		parameters, err := q.check(ctx, action.Action, s.Parameters)
		if err != nil {
			return attune.Execution{}, err
		}
		id, err := q.enqueue(ctx, action, parameters)
		if isNoRows(err) {
			// Between the check and the lock, another version was installed or the pack removed: look again.
			continue
		}
		if err != nil {
			return attune.Execution{}, storage.Translate("enqueue execution of "+action.Ref, err)
		}
		q.signal()
		return q.db.Executions.Get(ctx, id)
	}
	return attune.Execution{}, attune.Errorf(attune.CodeConflict, "the pack of %s is being installed; try again", s.Action)
}

// check validates what can be known before anything is queued, and fills in the defaults of parameters.
func (q *Queue) check(ctx context.Context, action attune.Action, parameters json.RawMessage) (json.RawMessage, error) {
	if len(bytes.TrimSpace(parameters)) == 0 {
		parameters = json.RawMessage(`{}`)
	}
	schema, err := jsonschema.Compile(action.Parameters)
	if err != nil {
		return nil, fmt.Errorf("compile parameters schema of %s: %w", action.Ref, err)
	}
	parameters, err = schema.Apply("parameters", parameters)
	if err != nil {
		return nil, err
	}
	missing, err := q.db.Secrets.Missing(ctx, action.Ref, action.Secrets)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		return nil, missingSecrets(action.Ref, missing)
	}
	return parameters, nil
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

// enqueue draws the ticket under the queue's lock. The lock is a statement of its own: a snapshot taken in the same
// statement would be older than the lock. The action's row is locked, too, against a version that is about to replace
// it: nothing may be queued for an image that is already being let go of. pgx.ErrNoRows means that the installation does
// not serve any more.
func (q *Queue) enqueue(ctx context.Context, action storage.InstalledAction, parameters json.RawMessage) (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make execution id: %w", err)
	}
	err = q.transact(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx,
			`select pg_advisory_xact_lock($1, id) from queues where action = $2 and key = ''`, lockQueue, action.Ref); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `
			insert into executions (id, queue_id, ticket, action, pack, pack_version, installation_id, image_digest, parameters)
			select $1, q.id, nextval('tickets'), a.ref, a.pack, i.version, i.id, i.image_digest, $2
			from actions a
			join installations i on i.id = a.installation_id
			join queues q on q.action = a.ref and q.key = ''
			where a.ref = $3 and i.id = $4
			for share of a
			returning id`, id, parameters, action.Ref, action.InstallationID).Scan(nil)
	})
	return id.String(), err
}
