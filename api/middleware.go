package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"attune"
)

// call is what the service knows about a request beyond HTTP. The first middleware puts it into the context, the later
// ones fill it in.
type call struct {
	// id names the request in the log and in answers of status 500.
	id string
	// token is the caller's; nil before authentication and on the routes that need none.
	token *attune.Token
}

type callKey struct{}

// callOf returns the call that ctx belongs to, an empty one outside a request.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// nameCall gives every request its id. The id is ours alone: one that a client could choose might collide, or lie.
func nameCall(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{id: rand.Text()}
		w.Header().Set("X-Request-Id", c.id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	})
}

// secureHeaders forbids what no client of ours needs: sniffing, caching, framing, and loading anything.
func secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

// observe logs and measures every request once it is answered. The query is left out of the log: it is the part of an
// address where people put what should not be there.
func observe(log *slog.Logger, m *metrics) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			next.ServeHTTP(wrapped, r)

			took, status, c := time.Since(start), max(wrapped.Status(), http.StatusOK), callOf(r.Context())
			m.observe(r.Method, chi.RouteContext(r.Context()).RoutePattern(), status, took)
			attrs := []slog.Attr{
				slog.String("request_id", c.id), slog.String("method", r.Method), slog.String("path", r.URL.Path),
				slog.Int("status", status), slog.Int("bytes", wrapped.BytesWritten()), slog.Duration("took", took),
				slog.String("remote", r.RemoteAddr),
			}
			if c.token != nil {
				attrs = append(attrs, slog.String("token", c.token.ID))
			}
			log.LogAttrs(r.Context(), slog.LevelInfo, "request", attrs...)
		})
	}
}

// recoverPanics answers a bug with a problem document instead of a broken connection.
func recoverPanics(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				cause := recover()
				if cause == nil {
					return
				}
				if cause == http.ErrAbortHandler { //nolint:errorlint // net/http compares the very value, too.
					panic(cause)
				}
				doc := internalProblem(r.Context(), log, "panic",
					slog.String("cause", fmt.Sprint(cause)), slog.String("stack", string(debug.Stack())))
				if wrapped, ok := w.(middleware.WrapResponseWriter); ok && wrapped.Status() == 0 {
					doc.write(w)
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
}
