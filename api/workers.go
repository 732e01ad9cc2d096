package api

import (
	"context"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"attune"
)

type workerInput struct {
	Name string `path:"name" maxLength:"253" example:"host-1-c4k7q2wn" doc:"The worker's name, as the list has it."`
}

func (s *server) workerRoutes() {
	register(s, operation{
		id: "list-workers", method: http.MethodGet, path: "/workers", tag: "workers", status: http.StatusOK,
		summary:     "List the workers",
		description: "A token that is limited to packs may not: workers run everybody's executions.",
		response:    page[attune.Worker]{Data: []attune.Worker{exampleWorker}},
	}, s.listWorkers)
	register(s, operation{
		id: "delete-worker", method: http.MethodDelete, path: "/workers/{name}", tag: "workers", status: http.StatusNoContent,
		summary: "Forget a worker that will not return",
		description: "What it held and had not begun goes back to its place in the queue; what had begun ends as abandoned, and is tried " +
			"again where its action says so. Make sure that the host is gone: code that runs on it goes on, and its slot is given away. " +
			"While the worker's lease holds, the answer is 409.",
		errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.deleteWorker)
}

func (s *server) listWorkers(ctx context.Context, _ *struct{}) (*listResponse[attune.Worker], error) {
	if err := seesWorkers(ctx); err != nil {
		return nil, err
	}
	workers, err := s.DB.Workers.List(ctx)
	if err != nil {
		return nil, err
	}
	return respondList(workers, ""), nil
}

func (s *server) deleteWorker(ctx context.Context, in *workerInput) (*struct{}, error) {
	if err := seesWorkers(ctx); err != nil {
		return nil, err
	}
	// What PostgreSQL cannot even compare names nothing.
	if !utf8.ValidString(in.Name) || strings.ContainsFunc(in.Name, unicode.IsControl) {
		return nil, notFound("worker", in.Name)
	}
	return nil, s.Queue.Forget(ctx, in.Name)
}

// seesWorkers keeps out tokens of some packs: workers run the executions of all of them.
func seesWorkers(ctx context.Context) error {
	if seesAll(ctx) {
		return nil
	}
	return attune.Errorf(attune.CodeForbidden, "a token that is limited to packs cannot see or forget workers")
}
