package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"attune"
	"attune/internal/disk"
)

// readyTimeout bounds the check of the dependencies, so that an answer comes while they hang.
const readyTimeout = 3 * time.Second

// healthz says that the process serves, and which level of isolation its own worker reaches, if it has one. It asks no
// other service.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) {
	health := map[string]string{"status": "ok"}
	if s.Isolation != "" {
		health["isolation"] = s.Isolation
	}
	writeJSON(w, envelope[map[string]string]{Data: health})
}

// readyz says whether PostgreSQL and S3 answer and the disks of the data folder have room. It needs no token, so it
// names what is wrong, and not why.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	checks := []struct {
		name string
		ping func(context.Context) error
	}{{"postgresql", s.DB.Ping}, {"s3", s.Objects.Ping}, {"disk", s.room}}

	failures := make([]error, len(checks))
	var group errgroup.Group
	for i, check := range checks {
		group.Go(func() error {
			failures[i] = check.ping(ctx)
			return nil
		})
	}
	_ = group.Wait()

	var down []string
	for i, err := range failures {
		if err != nil {
			down = append(down, checks[i].name)
			s.log.WarnContext(ctx, "not ready", "dependency", checks[i].name, "error", err)
		}
	}
	if len(down) > 0 {
		doc := newProblem(attune.CodeUnavailable, "not ready: "+strings.Join(down, ", "))
		doc.retryAfter = defaultRetryAfterSeconds
		doc.write(w)
		return
	}
	writeJSON(w, envelope[map[string]string]{Data: map[string]string{"status": "ready"}})
}

// room fails while there is no room for uploads or logs.
func (s *server) room(context.Context) error {
	return errors.Join(s.Logs.Room(), disk.Check(s.StagingDir))
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = jsonFormat.Marshal(w, v)
}
