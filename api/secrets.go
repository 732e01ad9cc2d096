package api

import (
	"context"
	"net/http"

	"attune"
	"attune/storage"
)

type listSecretsInput struct {
	Pack   string `query:"pack" maxLength:"63" doc:"Only the secrets of this pack and of its actions."`
	Action string `query:"action" maxLength:"127" doc:"Only the secrets of this action, by ref."`
}

type secretInput struct {
	Name   string `path:"name" maxLength:"128" example:"api_key" doc:"Letters, digits and underscores, not beginning with a digit."`
	Pack   string `query:"pack" maxLength:"63" doc:"For the actions of this pack; it need not be installed yet."`
	Action string `query:"action" maxLength:"127" doc:"For this action alone, by ref; it need not be installed yet."`
}

type putSecretInput struct {
	Name   string `path:"name" maxLength:"128" example:"api_key" doc:"Letters, digits and underscores, not beginning with a digit."`
	Pack   string `query:"pack" maxLength:"63" doc:"For the actions of this pack; it need not be installed yet."`
	Action string `query:"action" maxLength:"127" doc:"For this action alone, by ref; it need not be installed yet."`
	Body   struct {
		Value string `json:"value" minLength:"1" writeOnly:"true" doc:"The value, at most 65536 bytes of UTF-8. No request returns it."`
	}
}

func (s *server) secretRoutes() {
	register(s, operation{
		id: "list-secrets", list: true, method: http.MethodGet, path: "/secrets", tag: "secrets", status: http.StatusOK,
		summary:  "List the secrets, without their values",
		response: page[attune.Secret]{Data: []attune.Secret{exampleSecret}},
	}, s.listSecrets)
	register(s, operation{
		id: "put-secret", method: http.MethodPut, path: "/secrets/{name}", tag: "secrets", status: http.StatusNoContent,
		summary:     "Set a secret",
		description: "An action gets the secret of its own scope, else its pack's, else the global one.",
		request:     map[string]string{"value": "correct horse battery staple"},
	}, s.putSecret)
	register(s, operation{
		id: "delete-secret", method: http.MethodDelete, path: "/secrets/{name}", tag: "secrets", status: http.StatusNoContent,
		summary: "Delete a secret", errors: []int{http.StatusNotFound},
	}, s.deleteSecret)
}

func (s *server) listSecrets(ctx context.Context, in *listSecretsInput) (*listResponse[attune.Secret], error) {
	if err := checkRefs(in.Pack, in.Action); err != nil {
		return nil, err
	}
	secrets, err := s.DB.Secrets.List(ctx, storage.SecretFilter{Pack: in.Pack, Action: in.Action, Allowed: allowed(ctx)})
	if err != nil {
		return nil, err
	}
	// A token that is limited to packs sees their secrets and the global ones, which its packs read, too.
	return respondList(secrets, ""), nil
}

func (s *server) putSecret(ctx context.Context, in *putSecretInput) (*struct{}, error) {
	scope, err := scopeOf(ctx, in.Pack, in.Action)
	if err != nil {
		return nil, err
	}
	return nil, s.DB.Secrets.Set(ctx, in.Name, scope, []byte(in.Body.Value))
}

func (s *server) deleteSecret(ctx context.Context, in *secretInput) (*struct{}, error) {
	scope, err := scopeOf(ctx, in.Pack, in.Action)
	if err != nil {
		return nil, err
	}
	if !attune.ValidSecretName(in.Name) {
		return nil, notFound("secret", in.Name)
	}
	return nil, s.DB.Secrets.Delete(ctx, in.Name, scope)
}

// scopeOf checks a scope by itself and against the packs of the caller's token.
func scopeOf(ctx context.Context, pack, action string) (attune.Scope, error) {
	scope := attune.Scope{Pack: pack, Action: action}
	if err := checkRefs(pack, action); err != nil {
		return scope, err
	}
	if pack != "" && action != "" {
		return scope, wrongValue("pack", "cannot be given with action; a secret is for one of them")
	}
	if !sees(ctx, packOfScope(scope)) {
		return scope, attune.Errorf(attune.CodeForbidden, "the token is limited to other packs than this secret's")
	}
	return scope, nil
}

// packOfScope is the pack that a scope lies in, "" for the global one.
func packOfScope(scope attune.Scope) string {
	if pack, _, ok := attune.SplitActionRef(scope.Action); ok {
		return pack
	}
	return scope.Pack
}
