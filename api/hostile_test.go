package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"attune"
)

// What the documentation promises of numbers holds all the way, and so does what it refuses.
func TestParametersOfOddKinds(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.install(packFiles("weather", "1.0.0"))
	submit := func(value string) answer {
		return s.do(http.MethodPost, "/api/v1/executions", `{"action": "weather.hello", "parameters": {"n": `+value+`}}`)
	}
	for _, value := range []string{strings.Repeat("9", 400), "1e400", "-1E-400", "1.0"} {
		made := data[attune.Execution](t, submit(value), http.StatusAccepted)
		got := data[attune.Execution](t, s.get("/api/v1/executions/"+made.ID), http.StatusOK)
		if want := `{"n":` + value + `}`; string(got.Parameters) != want {
			t.Errorf("the parameters are %.50s, want %.50s", got.Parameters, want)
		}
	}
	for name, value := range map[string]string{
		"401 digits": strings.Repeat("9", 401), "exponent": "1e401", "half a pair": `"\ud800"`, "not UTF-8": "\"\xff\"",
	} {
		if a := submit(value); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %d: %s", name, a.StatusCode, a.body)
		}
	}
}

// Bodies that are made to cost much are refused at once, with an answer that is not much larger.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	s := setup(t)
	long := strings.Repeat("n", 1<<19)
	for name, body := range map[string]string{
		"numbers":      `{"executions": [` + strings.Repeat("0,", 1<<20) + `0]}`,
		"few members":  `{"executions": [` + strings.Repeat("{},", 4000) + `{}]}`,
		"empty lists":  strings.Repeat("[[],[],", 9) + strings.Repeat("]", 9),
		"a long name":  `{"executions": [{"` + long + `": [` + strings.Repeat("0,", 4000) + `0]}]}`,
		"unknown":      `{` + strings.Repeat(`"\u0061":0,`, 1000) + `"b":0}`,
		"objects":      `{"executions": [` + strings.Repeat(`{"a":{"a":{}}},`, 1<<18) + `0]}`,
		"not closed":   strings.Repeat(`{"a":`, 1<<20),
		"other values": `{"executions": ` + strings.Repeat(`{"parameters":`, 60) + "0" + strings.Repeat("}", 61),
	} {
		start := time.Now()
		a := s.do(http.MethodPost, "/api/v1/executions/batch", body)
		if a.StatusCode != http.StatusBadRequest && a.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: got %d", name, a.StatusCode)
		}
		if took := time.Since(start); len(a.body) > 128<<10 || took > 20*time.Second {
			t.Errorf("%s: the answer has %d bytes and came after %s", name, len(a.body), took)
		}
	}
}
