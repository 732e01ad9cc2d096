package e2e

import (
	"net/http"
	"testing"
	"time"

	"attune"
	"attune/internal/testservices/owndb"
)

// TestDatabaseAwayForAMinute: what runs ends meanwhile, and its outcome is recorded once when the database is back.
func TestDatabaseAwayForAMinute(t *testing.T) {
	t.Parallel()
	database := owndb.New(t)
	s := start(t, build(t), tempDir(t), append(environment(t), "ATTUNE_DATABASE_URL="+database.URL)...)
	s.install(t, countPack())
	runs, waits := s.submit(t, "steady.count", nil), s.submit(t, "steady.count", nil)
	s.await(t, runs.ID, func(attune.Execution) bool { return s.page(t, runs.ID, "stdout", 0, 1).Content != "" })
	database.Stop()
	back := time.NewTimer(time.Minute)
	for _, path := range []string{"/readyz", "/api/v1/executions/" + runs.ID} {
		if status := s.status(t, path); status != http.StatusServiceUnavailable {
			t.Errorf("%s is answered with %d", path, status)
		}
	}
	<-back.C
	database.Start()
	for _, id := range []string{runs.ID, waits.ID} {
		e := s.await(t, id, over)
		if e.Status != attune.StatusCompleted || string(e.Result) != "100" || e.Attempt != 1 {
			t.Errorf("it is %s (%s) with %s after %d attempts", e.Status, e.Reason, e.Result, e.Attempt)
		}
	}
}

// status is that of an answer to a GET request.
func (s *service) status(t *testing.T, path string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
