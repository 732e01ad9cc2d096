package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"attune"
)

const canary = "hunter2-canary"

func TestSecretLife(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, query := range []string{"", "?pack=weather", "?action=weather.hello"} {
		wantStatus(t, s.do(http.MethodPut, "/api/v1/secrets/api_key"+query, `{"value": "`+canary+`"}`), http.StatusNoContent)
		wantStatus(t, s.do(http.MethodPut, "/api/v1/secrets/api_key"+query, `{"value": "`+canary+`2"}`), http.StatusNoContent)
	}
	list := s.get("/api/v1/secrets")
	if secrets := data[[]attune.Secret](t, list, 200); len(secrets) != 3 {
		t.Errorf("got %+v", secrets)
	}
	if strings.Contains(string(list.body), canary) {
		t.Errorf("a value came out: %s", list.body)
	}
	if got := data[[]attune.Secret](t, s.get("/api/v1/secrets?pack=weather"), 200); len(got) != 2 {
		t.Errorf("got %+v", got)
	}
	if got := data[[]attune.Secret](t, s.get("/api/v1/secrets?action=weather.hello"), 200); len(got) != 1 {
		t.Errorf("got %+v", got)
	}
	values, missing, err := s.db.Secrets.Resolve(t.Context(), "weather.hello", []string{"api_key"})
	if err != nil || len(missing) != 0 || values["api_key"] != canary+"2" {
		t.Errorf("got %v %v %v", values, missing, err)
	}
	wantStatus(t, s.do(http.MethodDelete, "/api/v1/secrets/api_key?pack=weather", ""), http.StatusNoContent)
	wantProblem(t, s.do(http.MethodDelete, "/api/v1/secrets/api_key?pack=weather", ""), 404, attune.CodeNotFound)
	wantProblem(t, s.get("/api/v1/secrets/api_key"), 405, "method_not_allowed")
}

// Whatever is wrong with the request, the value in it is in neither the answer nor the log.
func TestSecretRefusesWithoutQuotingTheValue(t *testing.T) {
	t.Parallel()
	s := setup(t)
	long := canary + strings.Repeat("x", attune.MaxSecretBytes)
	tests := map[string]struct {
		path, body string
		status     int
		field      string
	}{
		"too long":         {"k", `{"value": "` + long + `"}`, 422, "value"},
		"much too long":    {"k", `{"value": "` + canary + strings.Repeat("x", 2<<20) + `"}`, 413, ""},
		"number":           {"k", `{"value": 5, "x": "` + canary + `"}`, 400, "x"},
		"list":             {"k", `{"value": ["` + canary + `"]}`, 422, "value"},
		"object":           {"k", `{"value": {"a": "` + canary + `"}}`, 422, "value"},
		"text alone":       {"k", `"` + canary + `"`, 422, ""},
		"not JSON":         {"k", canary, 400, ""},
		"unclosed":         {"k", `{"value": "` + canary, 400, ""},
		"twice":            {"k", `{"value": "` + canary + `", "value": "` + canary + `"}`, 400, ""},
		"not UTF-8":        {"k", `{"value": "` + canary + "\xff\"}", 400, ""},
		"empty":            {"k", `{"value": ""}`, 422, "value"},
		"other member":     {"k", `{"values": "` + canary + `"}`, 400, "values"},
		"bad name":         {"1k", `{"value": "` + canary + `"}`, 422, "name"},
		"bad pack":         {"k?pack=A", `{"value": "` + canary + `"}`, 422, "pack"},
		"bad action":       {"k?action=weather", `{"value": "` + canary + `"}`, 422, "action"},
		"pack and action":  {"k?pack=weather&action=weather.hello", `{"value": "` + canary + `"}`, 422, "pack"},
		"value in address": {"k?value=" + canary, `{"value": "x"}`, 400, "value"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := s.do(http.MethodPut, "/api/v1/secrets/"+test.path, test.body)
			p := wantProblem(t, a, test.status, map[int]attune.Code{
				400: attune.CodeMalformed, 413: attune.CodeTooLarge, 422: attune.CodeInvalid,
			}[test.status])
			if strings.Contains(string(a.body), canary) || strings.Contains(fmt.Sprint(a.Header), canary) {
				t.Errorf("the answer quotes the value: %s", a.body)
			}
			var named bool
			for _, place := range p.Errors {
				named = named || place.Field == test.field
			}
			if test.field != "" && !named {
				t.Errorf("got %+v, want %s", p.Errors, test.field)
			}
		})
	}
	if strings.Contains(s.log.String(), canary) {
		t.Error("the log quotes a value")
	}
	if got := data[[]attune.Secret](t, s.get("/api/v1/secrets"), 200); len(got) != 0 {
		t.Errorf("something was stored: %+v", got)
	}
}

func TestTokenOfSomePacksSetsTheirSecretsAlone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	limited := as(s.token(attune.RoleAdmin, "weather"))
	for query, status := range map[string]int{
		"?pack=weather": 204, "?action=weather.hello": 204, "?pack=tickets": 403, "?action=tickets.hello": 403, "": 403,
	} {
		wantStatus(t, s.do(http.MethodPut, "/api/v1/secrets/k"+query, `{"value": "x"}`, limited), status)
		wantStatus(t, s.do(http.MethodPut, "/api/v1/secrets/k"+query, `{"value": "x"}`), 204)
	}
	if got := data[[]attune.Secret](t, s.get("/api/v1/secrets", limited), 200); len(got) != 3 { // Theirs, and everybody's.
		t.Errorf("got %+v", got)
	}
	wantStatus(t, s.do(http.MethodDelete, "/api/v1/secrets/k", "", limited), 403)
	wantStatus(t, s.do(http.MethodDelete, "/api/v1/secrets/k?pack=tickets", "", limited), 403)
}
