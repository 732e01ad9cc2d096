package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverSettings are the settings that affect River's speed. All runs have the same pool, LISTEN and NOTIFY, the batch
// completer, and no job timeout (which saves River a timer per job).
type riverSettings struct {
	maxWorkers    int
	fetchCooldown time.Duration
	// completeInJob makes each job record its completion itself, by river.JobCompleteTx. Otherwise the completer records
	// many at once, every 50 ms or later.
	completeInJob bool
}

// riverPoll is the interval of River's own benchmark.
const riverPoll = 20 * time.Millisecond

func (s riverSettings) String() string {
	completion := "batch completer"
	if s.completeInJob {
		completion = "JobCompleteTx"
	}
	return fmt.Sprintf("MaxWorkers %d, FetchCooldown %s, FetchPollInterval %s, %s", s.maxWorkers, s.fetchCooldown,
		riverPoll, completion)
}

// riverQueue is River.
type riverQueue struct {
	riverSettings
	db     *pgxpool.Pool
	client *river.Client[pgx.Tx]
	// subscription is made when the first job is submitted. Other scenarios wait for no events, which cost time.
	subscription sync.Once

	mu sync.Mutex
	// recorded has the completions that are in the database, waiting those that a client waits for.
	recorded map[int64]bool
	waiting  map[int64]chan struct{}
}

// openRiver makes a database with River's newest schema.
func openRiver(ctx context.Context, databaseURL string) (*riverQueue, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	config.MaxConns = poolSize
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("make River's schema: %w", err)
	}
	return &riverQueue{db: pool}, nil
}

func (q *riverQueue) with(s riverSettings) *riverQueue {
	return &riverQueue{riverSettings: s, db: q.db}
}

func (q *riverQueue) connections() *pgxpool.Pool { return q.db }

func (q *riverQueue) statements() statements {
	return statements{
		analyze:    `analyze river_job`,
		unfinished: `select exists (select from river_job where state <> 'completed')`,
		completed:  `select count(*) from river_job where state = 'completed'`,
	}
}

func (q *riverQueue) reset(ctx context.Context) error {
	_, err := q.db.Exec(ctx, `truncate river_job`)
	return err
}

// insertBatch is the number of jobs per insert, as in River's own benchmark.
const insertBatch = 5000

// enqueue uses a client without workers. InsertManyFast is a COPY.
func (q *riverQueue) enqueue(ctx context.Context, jobs int) error {
	client, err := river.NewClient(riverpgxv5.New(q.db), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	params := make([]river.InsertManyParams, jobs)
	for i := range params {
		params[i].Args = payload{N: i}
	}
	for len(params) > 0 {
		batch := params[:min(insertBatch, len(params))]
		params = params[len(batch):]
		if _, err := client.InsertManyFast(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (q *riverQueue) work(ctx context.Context, ran func()) (func() error, error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{queue: q, ran: ran})
	var err error
	q.client, err = river.NewClient(riverpgxv5.New(q.db), &river.Config{
		FetchCooldown:     q.fetchCooldown,
		FetchPollInterval: riverPoll,
		JobTimeout:        -1,
		Logger:            slog.New(slog.DiscardHandler),
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: q.maxWorkers}},
		Workers:           workers,
	})
	if err != nil {
		return nil, err
	}
	q.recorded, q.waiting = make(map[int64]bool), make(map[int64]chan struct{})
	q.subscription = sync.Once{}
	return func() error { return q.client.Stop(context.WithoutCancel(ctx)) }, q.client.Start(ctx)
}

// subscribe subscribes to completions, until the client stops.
func (q *riverQueue) subscribe() {
	events, _ := q.client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: riverEvents, Kinds: []river.EventKind{river.EventKindJobCompleted},
	})
	go func() {
		for event := range events {
			q.complete(event.Job.ID)
		}
	}()
}

// riverEvents is more than the jobs of a run, since River drops events that do not fit.
const riverEvents = 200_000
