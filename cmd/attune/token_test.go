package main

import (
	"net/http"
	"testing"
	"time"
)

func TestTokenCreate(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{"POST /api/v1/tokens": func(w http.ResponseWriter, r *http.Request) {
		body := bodyOf(t, r)
		expires, err := time.Parse(time.RFC3339, body["expires_at"].(string))
		if err != nil || time.Until(expires) < 23*time.Hour || time.Until(expires) > 24*time.Hour {
			t.Errorf("expires_at %v, %v", body["expires_at"], err)
		}
		if packs, _ := body["packs"].([]any); body["name"] != "ci" || body["role"] != "viewer" || len(packs) != 2 {
			t.Errorf("body %v", body)
		}
		w.WriteHeader(http.StatusCreated)
		data(`{"id": "t-1", "name": "ci", "role": "viewer", "token": "att_once"}`)(w, r)
	}})
	args := []string{"token", "create", "ci", "--role", "viewer", "--pack", "a", "--pack", "b", "--expires-in", "1d"}
	invocation{api: api}.call(t, args...).want(t, exitDone, "att_once\n")
	got := invocation{api: api, terminal: true}.call(t, args...)
	got.want(t, exitDone, "att_once\n")
	got.wantStderr(t, "the only time that the token of ci (viewer) is shown")
}

func TestTokenListAndDelete(t *testing.T) {
	t.Parallel()
	api := routes(t, map[string]http.HandlerFunc{
		"GET /api/v1/tokens": data(`[{"id": "t-1", "name": "ci", "role": "viewer", "packs": ["a", "b"],
			"created_at": "2026-01-15T12:00:00Z"}]`),
		"DELETE /api/v1/tokens/t-1": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	})
	invocation{api: api}.call(t, "token", "list").want(t, exitDone, "t-1\tci\tviewer\ta,b\t2026-01-15T12:00:00Z\t-\t-\n")
	invocation{api: api}.call(t, "token", "delete", "t-1").want(t, exitDone, "token t-1 removed\n")
}
