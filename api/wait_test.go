package api_test

import (
	"context"
	"net/http"
	"testing"

	"attune"
	"attune/api"
)

func TestWaitForTheEnd(t *testing.T) {
	t.Parallel()
	ending, end := context.WithCancel(t.Context())
	defer end()
	s := setup(t, func(c *api.Config) { c.Ending = ending })
	s.install(packFiles("weather", "1.0.0"))
	path := func(e attune.Execution, seconds string) string {
		return "/api/v1/executions/" + e.ID + "?wait_seconds=" + seconds
	}

	e := s.submit("weather.hello")
	if got := data[attune.Execution](t, s.get(path(e, "1")), http.StatusOK); got.Status != attune.StatusQueued {
		t.Errorf("when the time is up it is %s, want the present state", got.Status)
	}
	answered := make(chan answer)
	go func() { answered <- s.get(path(e, "30")) }()
	wantStatus(t, s.do(http.MethodPost, "/api/v1/executions/"+e.ID+"/cancel", ""), http.StatusAccepted)
	if got := data[attune.Execution](t, <-answered, http.StatusOK); got.Status != attune.StatusCancelled {
		t.Errorf("it is %s, want its end", got.Status)
	}
	wantStatus(t, s.get(path(e, "31")), http.StatusUnprocessableEntity)

	// A server that ends answers those who wait.
	end()
	if got := data[attune.Execution](t, s.get(path(s.submit("weather.hello"), "30")),
		http.StatusOK); got.Status != attune.StatusQueued {
		t.Errorf("at the end of the server it is %s", got.Status)
	}
}
