package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"attune"
	"attune/imagebuilder/pack"
	"attune/scheduler"
	"attune/storage"
	"attune/storage/logs"
	"attune/storage/s3"
)

// Config is what the API needs of its surroundings.
type Config struct {
	DB      *storage.DB
	Objects *s3.Store
	Logs    *logs.Store
	Queue   *scheduler.Queue
	// StagingDir holds uploads while they are checked. It must exist; everything in it is removed again.
	StagingDir string
	// Limits bound the archives that are accepted.
	Limits pack.Limits
	// SendTimeout is how long a client may take to send a JSON body, and how long an upload may stand still; zero takes
	// the default.
	SendTimeout time.Duration
	// AnswerTimeout is how long the database and object storage may hang before a request is answered without them; zero
	// takes the default. An upload has its own time.
	AnswerTimeout time.Duration
	// Ending ends when the server is about to end: requests that wait are then answered. Nil never ends.
	Ending context.Context
	// Isolation is the level of isolation that this process's worker reaches; empty in one without a worker.
	Isolation string
	// Collectors are further metrics of this process.
	Collectors []prometheus.Collector
	Version    string
	Log        *slog.Logger
}

const (
	defaultSendTimeout   = 20 * time.Second
	defaultAnswerTimeout = 15 * time.Second
)

// server is the state that handlers share.
type server struct {
	Config
	log     *slog.Logger
	metrics *metrics
	huma    huma.API
	// bodies are being read, lists are being made, and staging holds uploads.
	bodies, lists *limiter
	staging       *staging
}

// New builds the handler of the whole service.
func New(c Config) (http.Handler, error) {
	if c.DB == nil || c.Objects == nil || c.Logs == nil || c.Queue == nil || c.StagingDir == "" || c.Log == nil {
		return nil, errors.New("api needs a database, objects, logs, a queue, a staging folder and a logger")
	}
	if c.SendTimeout == 0 {
		c.SendTimeout = defaultSendTimeout
	}
	if c.AnswerTimeout == 0 {
		c.AnswerTimeout = defaultAnswerTimeout
	}
	if c.Ending == nil {
		c.Ending = context.Background()
	}
	s := &server{
		Config: c, log: c.Log,
		bodies:  newLimiter("request bodies", maxBodies, maxTokenBodies),
		lists:   newLimiter("lists", maxLists, maxTokenLists),
		staging: newStaging(c.Limits),
	}
	s.metrics = newMetrics(c.Version, append(s.staging.collectors(), c.Collectors...)...)

	router := chi.NewRouter()
	router.Use(nameCall, observe(s.log, s.metrics), recoverPanics(s.log), secureHeaders, s.authenticate, s.boundBodies)
	router.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		newProblem(attune.CodeNotFound, "there is no such route; /docs lists them").write(w)
	})
	router.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		newProblem(codeMethodNotAllowed, "the route does not take this method; /docs lists what it takes").write(w)
	})
	s.huma = humachi.New(router, humaConfig(c.Version))
	s.huma.UseMiddleware(s.authorize, s.refuseRepeated)
	s.routes()

	document, docs, err := s.documents()
	if err != nil {
		return nil, err
	}
	router.Get("/openapi.json", document)
	router.Get("/docs", docs)
	router.Get("/healthz", s.healthz)
	router.Get("/readyz", s.readyz)
	router.Get("/metrics", s.serveMetrics)
	return router, nil
}

// routes registers every operation, in the order in which the documentation shows them.
func (s *server) routes() {
	s.packRoutes()
	s.actionRoutes()
	s.policyRoutes()
	s.submitRoutes()
	s.executionRoutes()
	s.queueRoutes()
	s.secretRoutes()
	s.workerRoutes()
	s.tokenRoutes()
}

// Server wraps a handler of New with the bounds that keep clients from holding connections: in time and in number.
// Routes that need longer extend their own deadlines.
func Server(addr string, handler http.Handler, log *slog.Logger) *http.Server {
	open := &connections{addresses: map[string]int{}}
	return &http.Server{
		Addr:              addr,
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnState:         open.changed,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
