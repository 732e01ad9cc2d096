package logs_test

import (
	"testing"
	"time"

	"attune/storage/logs"
)

func TestLayoutOfTheBucket(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("east", 5*3600)
	created := time.Date(2030, 1, 2, 3, 0, 0, 0, east) // the day before, in UTC
	want := "executions/weather/forecast/2030/01/01/id/"
	if got := logs.ExecutionPrefix("weather", "forecast", created, "id"); got != want {
		t.Errorf("an execution is at %s, want %s", got, want)
	}
	if got, want := logs.InstallationPrefix("weather", "id"), "installations/weather/id/"; got != want {
		t.Errorf("an installation is at %s, want %s", got, want)
	}
}
