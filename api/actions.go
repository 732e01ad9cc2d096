package api

import (
	"context"
	"net/http"

	"attune"
	"attune/storage"
)

type actionInput struct {
	Action string `path:"action" maxLength:"127" example:"weather.forecast" doc:"The action's ref or id."`
}

type listActionsInput struct {
	Pack   string `query:"pack" maxLength:"63" doc:"Only the actions of this pack."`
	Cursor string `query:"cursor" maxLength:"512" doc:"next_cursor of the page before."`
}

func (s *server) actionRoutes() {
	register(s, operation{
		id: "list-actions", list: true, method: http.MethodGet, path: "/actions", tag: "actions", status: http.StatusOK,
		summary: "List the actions of all installed packs", description: "A page has 500 actions or 4 MiB at most.",
		errors:   []int{http.StatusUnprocessableEntity},
		response: page[attune.Action]{Data: []attune.Action{exampleAction}},
	}, s.listActions)
	register(s, operation{
		id: "get-action", method: http.MethodGet, path: "/actions/{action}", tag: "actions", status: http.StatusOK,
		summary: "Show an action", errors: []int{http.StatusNotFound},
		response: envelope[attune.Action]{Data: exampleAction},
	}, s.getAction)
}

func (s *server) listActions(ctx context.Context, in *listActionsInput) (*listResponse[attune.Action], error) {
	if err := checkRefs(in.Pack, ""); err != nil {
		return nil, err
	}
	installed, next, err := s.DB.Actions.List(ctx, in.Pack, allowed(ctx), in.Cursor)
	if err != nil {
		return nil, err
	}
	actions := make([]attune.Action, len(installed))
	for i, a := range installed {
		actions[i] = a.Action
	}
	return respondList(actions, next), nil
}

func (s *server) getAction(ctx context.Context, in *actionInput) (*response[attune.Action], error) {
	action, err := s.action(ctx, in.Action)
	if err != nil {
		return nil, err
	}
	return respond(action.Action), nil
}

// action finds an action by ref or id, if the caller's token reaches its pack.
func (s *server) action(ctx context.Context, refOrID string) (storage.InstalledAction, error) {
	if _, _, isRef := attune.SplitActionRef(refOrID); !isRef && !isID(refOrID) {
		return storage.InstalledAction{}, notFound("action", refOrID)
	}
	action, err := s.DB.Actions.Get(ctx, refOrID)
	if err != nil {
		return storage.InstalledAction{}, err
	}
	if !sees(ctx, action.Pack) {
		return storage.InstalledAction{}, notFound("action", refOrID)
	}
	return action, nil
}
