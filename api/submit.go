package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"attune"
	"attune/scheduler"
)

// maxBatchBytes bounds the body of a batch; each of its members has the room of a submission of its own.
const maxBatchBytes = 8 << 20

// object is any JSON object, kept byte for byte: numbers keep their digits and members their order.
type object json.RawMessage

// Schema is the schema by which huma checks it.
func (object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true, Description: "Must fit the action's parameter schema.",
	}
}

// UnmarshalJSON keeps the bytes.
func (o *object) UnmarshalJSON(b []byte) error { return (*json.RawMessage)(o).UnmarshalJSON(b) }

// MarshalJSON returns the bytes.
func (o object) MarshalJSON() ([]byte, error) { return json.RawMessage(o).MarshalJSON() }

type submitInput struct {
	Key  string `header:"Idempotency-Key" minLength:"1" maxLength:"255" pattern:"^[!-~]+$" doc:"For 24 hours, a request with the same key and body queues nothing more and returns the first one's execution."`
	Body submitInputBody
}

type submitInputBody struct {
	Action     string `json:"action" minLength:"1" maxLength:"127" doc:"The action's ref or id."`
	Parameters object `json:"parameters,omitempty"`
}

type submitResponse struct {
	Location string `header:"Location" doc:"Path of the execution."`
	Body     envelope[attune.Execution]
}

type submitBatchInput struct {
	Key  string `header:"Idempotency-Key" minLength:"1" maxLength:"255" pattern:"^[!-~]+$" doc:"For 24 hours, a request with the same key and body queues nothing more and returns the first one's executions."`
	Body struct {
		Executions []submitInputBody `json:"executions" minItems:"1" maxItems:"1000" nullable:"false" doc:"Queued in this order."`
	}
}

func (s *server) submitRoutes() {
	submission := map[string]any{"action": "weather.forecast", "parameters": map[string]any{"city": "Oslo"}}
	register(s, operation{
		id: "submit-execution", method: http.MethodPost, path: "/executions", tag: "executions", status: http.StatusAccepted,
		summary: "Run an action",
		description: "The answer comes when the execution is queued. Executions of a queue start in the order of their " +
			"submission, and each reaches exactly one terminal state. A submission that a policy refuses gets 429, and " +
			"Retry-After says when to try again.",
		errors:   []int{http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests},
		request:  submission,
		response: envelope[attune.Execution]{Data: exampleExecution},
	}, s.submit)
	register(s, operation{
		id: "submit-batch", method: http.MethodPost, path: "/executions/batch", tag: "executions",
		status: http.StatusAccepted, summary: "Run many actions, or none",
		description: "Either all executions are queued, in the order of the list, or none is. Then the problems name the " +
			"members that were refused, as executions.<index>, counted from 0. The answer has no parameters.",
		errors:   []int{http.StatusConflict, http.StatusTooManyRequests},
		request:  map[string]any{"executions": []any{submission}},
		response: envelope[[]attune.Execution]{Data: []attune.Execution{exampleExecution}},
		maxBytes: maxBatchBytes,
	}, s.submitBatch)
}

func (s *server) submit(ctx context.Context, in *submitInput) (*submitResponse, error) {
	if err := s.reaches(ctx, in.Body.Action); err != nil {
		return nil, err
	}
	key, err := idempotencyKey(ctx, in.Key, in.Body)
	if err != nil {
		return nil, err
	}
	var execution attune.Execution
	if key == nil {
		execution, err = s.Queue.Submit(ctx, in.Body.submission())
	} else {
		execution, err = s.Queue.SubmitOnce(ctx, *key, in.Body.submission())
	}
	if err != nil {
		return nil, err
	}
	return &submitResponse{
		Location: prefix + "/executions/" + execution.ID,
		Body:     envelope[attune.Execution]{Data: execution},
	}, nil
}

func (s *server) submitBatch(ctx context.Context, in *submitBatchInput) (*response[[]attune.Execution], error) {
	submissions, err := s.submissions(ctx, in.Body.Executions)
	if err != nil {
		return nil, err
	}
	key, err := idempotencyKey(ctx, in.Key, in.Body)
	if err != nil {
		return nil, err
	}
	executions, err := s.Queue.SubmitBatch(ctx, key, submissions)
	if err != nil {
		return nil, err
	}
	for i := range executions {
		executions[i].Parameters = nil
	}
	return respond(executions), nil
}

func (b submitInputBody) submission() scheduler.Submission {
	return scheduler.Submission{Action: b.Action, Parameters: json.RawMessage(b.Parameters)}
}

// submissions checks the members of a batch for what the queue cannot know: the packs of the caller's token, and the
// size of each member.
func (s *server) submissions(ctx context.Context, members []submitInputBody) ([]scheduler.Submission, error) {
	submissions := make([]scheduler.Submission, len(members))
	var problems []attune.Problem
	for i, member := range members {
		submissions[i] = member.submission()
		if len(member.Parameters) > maxBodyBytes {
			problems = append(problems, attune.Problem{
				Field:   fmt.Sprintf("executions.%d.parameters", i),
				Message: fmt.Sprintf("must have at most %d bytes", maxBodyBytes),
			})
		}
		err := s.reaches(ctx, member.Action)
		if attune.CodeOf(err) == attune.CodeNotFound {
			problems = append(problems, attune.Problem{Field: fmt.Sprintf("executions.%d.action", i), Message: err.Error()})
		} else if err != nil {
			return nil, err
		}
	}
	if problems != nil {
		return nil, attune.Invalid("nothing was queued: not all members of the batch can be queued", problems...)
	}
	return submissions, nil
}

// reaches returns CodeNotFound for an action that the caller's token must not know of. Whether any other action exists
// is for the queue to find out, under its lock.
func (s *server) reaches(ctx context.Context, refOrID string) error {
	pack, _, isRef := attune.SplitActionRef(refOrID)
	switch {
	case isRef && sees(ctx, pack), isID(refOrID) && seesAll(ctx):
		return nil
	case isID(refOrID):
		_, err := s.action(ctx, refOrID)
		return err
	default:
		return notFound("action", refOrID)
	}
}

// idempotencyKey identifies a repeated request; nil without a key. The digest is over the decoded body, so that white
// space between its members does not matter.
func idempotencyKey(ctx context.Context, key string, body any) (*scheduler.IdempotencyKey, error) {
	if key == "" {
		return nil, nil
	}
	canonical, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("digest of a request: %w", err)
	}
	return &scheduler.IdempotencyKey{Token: callOf(ctx).token.ID, Key: key, Digest: sha256.Sum256(canonical)}, nil
}
