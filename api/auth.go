package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"attune"
)

// neededRole is the least role that each operation needs, by operation id. An operation that is not listed is refused
// to all, so a new route is closed until its role is chosen.
var neededRole = map[string]attune.Role{
	"upload-pack":             attune.RoleAdmin,
	"list-packs":              attune.RoleViewer,
	"get-pack":                attune.RoleViewer,
	"delete-pack":             attune.RoleAdmin,
	"install-pack":            attune.RoleAdmin,
	"get-installation-status": attune.RoleViewer,
	"get-installation-log":    attune.RoleViewer,

	"list-actions": attune.RoleViewer,
	"get-action":   attune.RoleViewer,

	"list-queues":       attune.RoleViewer,
	"get-queue-stats":   attune.RoleViewer,
	"explain-execution": attune.RoleViewer,

	"list-workers":  attune.RoleViewer,
	"delete-worker": attune.RoleAdmin,

	"list-policies":        attune.RoleViewer,
	"put-global-policy":    attune.RoleAdmin,
	"delete-global-policy": attune.RoleAdmin,
	"put-pack-policy":      attune.RoleAdmin,
	"delete-pack-policy":   attune.RoleAdmin,
	"put-action-policy":    attune.RoleAdmin,
	"delete-action-policy": attune.RoleAdmin,

	"submit-execution":  attune.RoleOperator,
	"submit-batch":      attune.RoleOperator,
	"list-executions":   attune.RoleViewer,
	"get-execution":     attune.RoleViewer,
	"cancel-execution":  attune.RoleOperator,
	"get-execution-log": attune.RoleViewer,

	"list-secrets":  attune.RoleViewer,
	"put-secret":    attune.RoleAdmin,
	"delete-secret": attune.RoleAdmin,

	"create-token": attune.RoleAdmin,
	"list-tokens":  attune.RoleAdmin,
	"delete-token": attune.RoleAdmin,
}

// rank orders the roles; each may do what the ones below it may.
func rank(role attune.Role) int {
	switch role {
	case attune.RoleViewer:
		return 1
	case attune.RoleOperator:
		return 2
	case attune.RoleAdmin:
		return 3
	default:
		return 0
	}
}

// authenticate refuses a request without a valid token. It stands before the router, so that a stranger cannot learn
// which routes there are.
func (s *server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isHealth(r) {
			next.ServeHTTP(w, r)
			return
		}
		token, err := s.tokenOf(r)
		if err != nil {
			doc := problemFor(r.Context(), s.log, err)
			if doc.Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", challenge(r))
			}
			doc.write(w)
			return
		}
		callOf(r.Context()).token = &token
		next.ServeHTTP(w, r)
	})
}

func isHealth(r *http.Request) bool {
	return r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
}

// isForBrowsers reports whether the request is for one of the two pages that people open in a browser, which can send a
// token only as the password of HTTP Basic. Elsewhere Basic is refused: a browser repeats it on its own, also for a
// hostile page's request.
func isForBrowsers(r *http.Request) bool {
	return r.Method == http.MethodGet && (r.URL.Path == "/docs" || r.URL.Path == "/openapi.json")
}

func challenge(r *http.Request) string {
	if isForBrowsers(r) {
		return `Basic realm="attune: any name, and a token as the password", charset="UTF-8"`
	}
	return `Bearer realm="attune"`
}

func (s *server) tokenOf(r *http.Request) (attune.Token, error) {
	var shown string
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		shown = strings.TrimSpace(credentials)
	case isForBrowsers(r):
		_, shown, _ = r.BasicAuth()
	}
	if shown == "" {
		return attune.Token{}, attune.Errorf(attune.CodeUnauthenticated, "a token is needed: Authorization: Bearer <token>")
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.AnswerTimeout)
	defer cancel()
	return s.DB.Tokens.Authenticate(ctx, shown)
}

// authorize is the gate in front of every operation.
func (s *server) authorize(ctx huma.Context, next func(huma.Context)) {
	token := callOf(ctx.Context()).token
	needed, known := neededRole[ctx.Operation().OperationID]
	if token != nil && known && rank(token.Role) >= rank(needed) {
		next(ctx)
		return
	}
	// Unreachable errors aside, only the client's connection can fail here.
	_ = huma.WriteErr(s.huma, ctx, http.StatusForbidden, "the token's role does not allow this; it needs "+string(needed))
}

// refuseRepeated refuses a query parameter that is given twice and is no list: reading either one would be a guess.
func (s *server) refuseRepeated(ctx huma.Context, next func(huma.Context)) {
	url := ctx.URL()
	given := url.Query()
	for _, p := range ctx.Operation().Parameters {
		if p.In == "query" && p.Schema.Type != huma.TypeArray && len(given[p.Name]) > 1 {
			_ = huma.WriteErr(s.huma, ctx, http.StatusBadRequest, "the request cannot be read",
				&huma.ErrorDetail{Location: "query." + p.Name, Message: "is given more than once"})
			return
		}
	}
	next(ctx)
}

// seesAll reports whether the caller's token is not limited to packs.
func seesAll(ctx context.Context) bool {
	token := callOf(ctx).token
	return token != nil && len(token.Packs) == 0
}

// sees reports whether the caller's token may see the pack.
func sees(ctx context.Context, pack string) bool {
	token := callOf(ctx).token
	return token != nil && (len(token.Packs) == 0 || slices.Contains(token.Packs, pack))
}

// allowed is the packs that listings are limited to; none for a token that sees all.
func allowed(ctx context.Context) []string {
	if token := callOf(ctx).token; token != nil {
		return token.Packs
	}
	return nil
}
