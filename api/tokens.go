package api

import (
	"context"
	"net/http"
	"time"

	"attune"
)

type createTokenInput struct {
	Body struct {
		Name      string      `json:"name" minLength:"1" maxLength:"100" pattern:"^[A-Za-z0-9][A-Za-z0-9 ._@-]*$" doc:"Name, for people."`
		Role      attune.Role `json:"role" enum:"admin,operator,viewer" doc:"What the token may do."`
		Packs     []string    `json:"packs,omitempty" maxItems:"100" nullable:"false" doc:"Packs that the token is limited to; all when empty."`
		ExpiresAt *time.Time  `json:"expires_at,omitempty" doc:"When the token expires; never when absent."`
	}
}

// createdToken is the one answer that has the token itself.
type createdToken struct {
	attune.Token
	Secret string `json:"token" doc:"The token, shown only here."`
}

type tokenInput struct {
	ID string `path:"id" maxLength:"36" doc:"The token's id."`
}

func (s *server) tokenRoutes() {
	register(s, operation{
		id: "create-token", method: http.MethodPost, path: "/tokens", tag: "tokens", status: http.StatusCreated,
		summary:  "Create a token",
		request:  map[string]any{"name": "ci", "role": "operator", "packs": []string{"weather"}},
		response: envelope[createdToken]{Data: createdToken{Token: exampleToken, Secret: "att_…"}},
	}, s.createToken)
	register(s, operation{
		id: "list-tokens", list: true, method: http.MethodGet, path: "/tokens", tag: "tokens", status: http.StatusOK,
		summary:  "List the tokens, without their secrets",
		response: page[attune.Token]{Data: []attune.Token{exampleToken}},
	}, s.listTokens)
	register(s, operation{
		id: "delete-token", method: http.MethodDelete, path: "/tokens/{id}", tag: "tokens", status: http.StatusNoContent,
		summary: "Delete a token", errors: []int{http.StatusNotFound},
	}, s.deleteToken)
}

func (s *server) createToken(ctx context.Context, in *createTokenInput) (*response[createdToken], error) {
	if err := managesTokens(ctx); err != nil {
		return nil, err
	}
	secret, token, err := s.DB.Tokens.Create(ctx, in.Body.Name, in.Body.Role, in.Body.Packs, in.Body.ExpiresAt)
	if err != nil {
		return nil, err
	}
	return respond(createdToken{Token: token, Secret: secret}), nil
}

func (s *server) listTokens(ctx context.Context, _ *struct{}) (*listResponse[attune.Token], error) {
	if err := managesTokens(ctx); err != nil {
		return nil, err
	}
	tokens, err := s.DB.Tokens.List(ctx)
	if err != nil {
		return nil, err
	}
	return respondList(tokens, ""), nil
}

func (s *server) deleteToken(ctx context.Context, in *tokenInput) (*struct{}, error) {
	if err := managesTokens(ctx); err != nil {
		return nil, err
	}
	if !isID(in.ID) {
		return nil, notFound("token", in.ID)
	}
	return nil, s.DB.Tokens.Delete(ctx, in.ID)
}

// managesTokens refuses tokens that are limited to packs: they could create one for all packs.
func managesTokens(ctx context.Context) error {
	if seesAll(ctx) {
		return nil
	}
	return attune.Errorf(attune.CodeForbidden, "a token that is limited to packs cannot manage tokens")
}
