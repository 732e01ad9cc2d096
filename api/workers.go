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
	Name string `path:"name" maxLength:"253" example:"host-1-c4k7q2wn" doc:"The worker's name, as in the list."`
}

func (s *server) workerRoutes() {
	register(s, operation{
		id: "list-workers", list: true, method: http.MethodGet, path: "/workers", tag: "workers", status: http.StatusOK,
		summary:     "List the workers",
		description: "Not for a token that is limited to packs: workers run the executions of all packs.",
		response:    page[attune.Worker]{Data: []attune.Worker{exampleWorker}},
	}, s.listWorkers)
	register(s, operation{
		id: "delete-worker", method: http.MethodDelete, path: "/workers/{name}", tag: "workers", status: http.StatusNoContent,
		summary: "Forget a worker whose host is gone for good",
		description: "Its slots become free. The executions in them end as abandoned, for worker_lost, and are tried " +
			"again where their action's retry names that reason. Make sure first that the host is gone: code that still " +
			"runs there goes on. The answer is 409 while the worker's lease holds.",
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
	// PostgreSQL cannot compare such text, so no worker has it as a name.
	if !utf8.ValidString(in.Name) || strings.ContainsFunc(in.Name, unicode.IsControl) {
		return nil, notFound("worker", in.Name)
	}
	return nil, s.Queue.Forget(ctx, in.Name)
}

// seesWorkers refuses tokens that are limited to packs: workers run the executions of all packs.
func seesWorkers(ctx context.Context) error {
	if seesAll(ctx) {
		return nil
	}
	return attune.Errorf(attune.CodeForbidden, "a token that is limited to packs cannot see or forget workers")
}
