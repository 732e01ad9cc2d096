package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
	"attune/migrations"
	"attune/scheduler"
	"attune/storage"
)

// ownQueue is Attune's scheduler on a database of its own.
type ownQueue struct {
	db *storage.DB
	// actions are how many there are, each with a queue of its own, and limit is that of each.
	actions, limit int

	queue *scheduler.Queue
	next  atomic.Int64
}

// openOwn brings the database to the newest schema.
func openOwn(ctx context.Context, databaseURL, dir string) (*storage.DB, error) {
	if err := migrations.Apply(ctx, databaseURL); err != nil {
		return nil, err
	}
	keyFile := filepath.Join(dir, "key.json")
	if err := storage.CreateKeyFile(keyFile); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	sealer, err := storage.NewSealer(keyFile)
	if err != nil {
		return nil, err
	}
	return storage.Open(ctx, fmt.Sprintf("%s&pool_max_conns=%d", databaseURL, poolSize), sealer)
}

// packRef is the pack of an ownQueue: one for each number of actions, so that several can be in one database.
func (q *ownQueue) packRef() string { return fmt.Sprintf("bench%d", q.actions) }

func (q *ownQueue) actionRef(i int) string { return fmt.Sprintf("%s.a%d", q.packRef(), i%q.actions) }

// newOwnQueue installs a pack with so many actions, without building an image: the queue only knows its digest.
func newOwnQueue(ctx context.Context, db *storage.DB, actions, limit int) (*ownQueue, error) {
	q := &ownQueue{db: db, actions: actions, limit: limit}
	q.queue = scheduler.NewQueue(db, slog.New(slog.DiscardHandler))
	m := attune.Manifest{Ref: q.packRef(), Version: "1.0.0"}
	for i := range actions {
		m.Actions = append(m.Actions, attune.Action{
			Ref: q.actionRef(i), Pack: m.Ref, RunnerType: attune.RunnerShell, EntryPoint: "a.sh", TimeoutSeconds: 60,
			Network:    attune.NetworkNone,
			Parameters: json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"}}}`),
			Resources: attune.Resources{
				CPU: attune.DefaultCPU, MemoryBytes: attune.DefaultMemoryBytes, Pids: attune.DefaultPids, TmpBytes: attune.DefaultTmpBytes,
			},
			Policy: attune.Policy{Concurrency: &attune.Concurrency{Limit: limit}},
		})
	}
	if _, err := db.Installations.Create(ctx, m, strings.Repeat("0", 64)); err != nil {
		return nil, err
	}
	claimed, _, err := db.Installations.Claim(ctx, "installer")
	if err != nil {
		return nil, err
	}
	return q, db.Installations.Succeed(ctx, claimed.ID, "installer", "sha256:"+strings.Repeat("0", 64))
}

func (q *ownQueue) connections() *pgxpool.Pool { return q.db.Pool() }

func (q *ownQueue) statements() statements {
	return statements{
		analyze:    `analyze executions`,
		unfinished: `select exists (select from executions where status <> 'completed')`,
		completed:  `select count(*) from executions where status = 'completed'`,
	}
}

func (q *ownQueue) reset(ctx context.Context) error {
	_, err := q.db.Pool().Exec(ctx, `truncate executions`)
	return err
}

// submitBatch is how many executions a batch has.
const submitBatch = 1000

func (q *ownQueue) enqueue(ctx context.Context, jobs int) error {
	for first := 0; first < jobs; first += submitBatch {
		batch := make([]scheduler.Submission, min(submitBatch, jobs-first))
		for i := range batch {
			batch[i] = scheduler.Submission{Action: q.actionRef(first + i), Parameters: parameters(first + i)}
		}
		if _, err := q.queue.SubmitBatch(ctx, nil, batch); err != nil {
			return err
		}
	}
	return nil
}

func parameters(n int) json.RawMessage { return fmt.Appendf(nil, `{"n":%d}`, n) }

// work runs one worker, with room for as much as the limits allow.
func (q *ownQueue) work(ctx context.Context, ran func()) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	worker, err := scheduler.NewWorker(scheduler.WorkerConfig{
		Name: "bench", Capacity: q.actions * q.limit, DB: q.db, Queue: q.queue, Executor: noop(ran), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		cancel()
		return nil, err
	}
	queueEnded, workerEnded := make(chan error, 1), make(chan error, 1)
	go func() { queueEnded <- q.queue.Run(ctx) }()
	go func() { workerEnded <- worker.Run(ctx) }()
	return func() error {
		cancel()
		return errors.Join(<-workerEnded, <-queueEnded)
	}, nil
}

// noop is an executor whose executions do nothing.
type noop func()

// Execute is the execution.
func (ran noop) Execute(ctx context.Context, _ scheduler.Claim, begin func(context.Context) error) (scheduler.Outcome, error) {
	if err := begin(ctx); err != nil {
		return scheduler.Outcome{}, err
	}
	ran()
	return scheduler.Outcome{Status: attune.StatusCompleted}, nil
}

func (q *ownQueue) submit(ctx context.Context) (func(context.Context) error, error) {
	n := int(q.next.Add(1))
	e, err := q.queue.Submit(ctx, scheduler.Submission{Action: q.actionRef(n), Parameters: parameters(n)})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		over, err := q.queue.Wait(ctx, e.ID)
		if err != nil {
			return err
		}
		if over.Status != attune.StatusCompleted {
			return fmt.Errorf("execution %s is %s", e.ID, over.Status)
		}
		return nil
	}, nil
}
