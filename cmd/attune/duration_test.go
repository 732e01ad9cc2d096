package main

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "1d": day, "30d": 30 * day, "1d12h": 36 * time.Hour, "0": 0,
		"0d": 0, "1.5h": 90 * time.Minute,
	} {
		var d duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%s is %v, %v", text, time.Duration(d), err)
		}
	}
	for _, text := range []string{
		"", "d", "1", "-1d", "-1h", "1d-1h", "1dd", "1x", "1.5d", "213504d", "106751d24h", "1000000000000d",
	} {
		var d duration
		if d.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is %v", text, time.Duration(d))
		}
	}
}

func TestExecutionsSince(t *testing.T) {
	t.Parallel()
	now := time.Now()
	midnight := time.Date(2026, 3, 1, 0, 0, 0, 0, time.Local)
	for given, want := range map[string]time.Time{
		"1d": now.Add(-day), "90s": now.Add(-90 * time.Second), "2026-03-01": midnight,
		"2026-03-01T09:30:00Z": time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC),
	} {
		var asked url.Values
		api := routes(t, map[string]http.HandlerFunc{"GET /api/v1/executions": func(w http.ResponseWriter, r *http.Request) {
			asked = r.URL.Query()
			data("[]")(w, r)
		}})
		invocation{api: api}.call(t, "execution", "list", "--since", given).want(t, exitDone, "")
		got, err := time.Parse(time.RFC3339Nano, asked.Get("since"))
		if err != nil || got.Before(want) || got.Sub(want) > time.Minute {
			t.Errorf("--since %s asks for %v, %v; want %v", given, asked, err, want)
		}
	}
	for _, wrong := range []string{"yesterday", "-1d", "2026-13-01", "1"} {
		got := invocation{api: routes(t, nil)}.call(t, "execution", "list", "--since="+wrong)
		got.want(t, exitUsage, "")
		got.wantStderr(t, "--since", "is not a time", "2026-03-01")
	}
}
