package api

import (
	"context"
	"net/http"
	"slices"

	"attune"
)

func (s *server) queueRoutes() {
	register(s, operation{
		id: "list-queues", list: true, method: http.MethodGet, path: "/queues", tag: "queues", status: http.StatusOK,
		summary:     "List the queues with executions that wait or run, longest first",
		description: "A queue is an action, or an action and the values of its concurrency key.",
		response:    page[attune.QueueState]{Data: []attune.QueueState{exampleQueue}},
	}, s.listQueues)
	register(s, operation{
		id: "get-queue-stats", list: true, method: http.MethodGet, path: "/actions/{action}/queue-stats", tag: "queues",
		status: http.StatusOK, summary: "Show the queue of an action",
		description: "An action with a concurrency key has a queue for each value: the figures are over all of them, and " +
			"keys lists those that have executions.",
		errors:   []int{http.StatusNotFound},
		response: envelope[attune.QueueStats]{Data: exampleStats},
	}, s.getQueueStats)
	register(s, operation{
		id: "explain-execution", method: http.MethodGet, path: "/executions/{id}/why", tag: "queues", status: http.StatusOK,
		list:    true,
		summary: "Explain why an execution waits",
		description: "Its position, the gate that holds the head of its queue, the executions that hold the slots, and an " +
			"estimate of its start. A token that is limited to packs sees no executions of other packs.",
		errors:   []int{http.StatusNotFound},
		response: envelope[attune.Explanation]{Data: exampleExplanation},
	}, s.explainExecution)
}

func (s *server) listQueues(ctx context.Context, _ *struct{}) (*listResponse[attune.QueueState], error) {
	queues, err := s.Queue.States(ctx, allowed(ctx))
	if err != nil {
		return nil, err
	}
	return respondList(queues, ""), nil
}

func (s *server) getQueueStats(ctx context.Context, in *actionInput) (*response[attune.QueueStats], error) {
	action, err := s.action(ctx, in.Action)
	if err != nil {
		return nil, err
	}
	stats, err := s.Queue.Stats(ctx, action.Ref)
	if err != nil {
		return nil, err
	}
	return respond(stats), nil
}

func (s *server) explainExecution(ctx context.Context, in *executionInput) (*response[attune.Explanation], error) {
	if _, err := s.execution(ctx, in.ID); err != nil {
		return nil, err
	}
	explanation, err := s.Queue.Why(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if gate := explanation.Gate; gate != nil {
		gate.Holders = slices.DeleteFunc(gate.Holders, func(h attune.Holder) bool {
			pack, _, _ := attune.SplitActionRef(h.Action)
			return !sees(ctx, pack)
		})
	}
	return respond(explanation), nil
}
