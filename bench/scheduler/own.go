package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"attune"
	"attune/bench/measure"
	"attune/migrations"
	"attune/scheduler"
	"attune/storage"
)

// ownQueue is Attune's scheduler with a database of its own.
type ownQueue struct {
	db *storage.DB
	// actions is the number of actions, each with a queue of its own; limit is the concurrency limit of each.
	actions, limit int
	// workers is the number of workers, each with capacity slots.
	workers, capacity int
	// history is set if reset keeps finished executions.
	history bool

	queue *scheduler.Queue
	next  atomic.Int64
	// mark separates runs: it is less than every id of the present run, and not less than any earlier one.
	mark string
}

const packRef = "bench"

func (q *ownQueue) actionRef(i int) string { return fmt.Sprintf("%s.a%d", packRef, i%q.actions) }

// openOwn makes a database and installs a pack with that many actions. No image is built, since the queue only needs a
// digest.
func openOwn(ctx context.Context, server *measure.Postgres, sealer *storage.Sealer, actions, limit int,
	history bool,
) (*ownQueue, error) {
	databaseURL, err := server.CreateDatabase(ctx, fmt.Sprintf("attune_%d_%d_%t", actions, limit, history))
	if err != nil {
		return nil, err
	}
	if err := migrations.Apply(ctx, databaseURL); err != nil {
		return nil, err
	}
	q := &ownQueue{actions: actions, limit: limit, workers: 1, capacity: actions * limit, history: history}
	q.db, err = storage.Open(ctx, fmt.Sprintf("%s&pool_max_conns=%d", databaseURL, poolSize), sealer)
	if err != nil {
		return nil, err
	}
	q.queue = scheduler.NewQueue(q.db, slog.New(slog.DiscardHandler))
	if err := q.install(ctx); err != nil {
		q.db.Close()
		return nil, err
	}
	return q, nil
}

func (q *ownQueue) install(ctx context.Context) error {
	m := attune.Manifest{Ref: packRef, Version: "1.0.0"}
	for i := range q.actions {
		m.Actions = append(m.Actions, attune.Action{
			Ref: q.actionRef(i), Pack: packRef, RunnerType: attune.RunnerShell, EntryPoint: "a.sh", TimeoutSeconds: 60,
			Network:    attune.NetworkNone,
			Parameters: json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"}}}`),
			Resources: attune.Resources{
				CPU: attune.DefaultCPU, MemoryBytes: attune.DefaultMemoryBytes, Pids: attune.DefaultPids,
				TmpBytes: attune.DefaultTmpBytes,
			},
			Policy: attune.Policy{Concurrency: &attune.Concurrency{Limit: q.limit}},
		})
	}
	if _, err := q.db.Installations.Create(ctx, m, strings.Repeat("0", 64)); err != nil {
		return err
	}
	claimed, _, err := q.db.Installations.Claim(ctx, "installer")
	if err != nil {
		return err
	}
	return q.queue.Activate(ctx, claimed.ID, "installer", "sha256:"+strings.Repeat("0", 64))
}

// with returns the same queue and database with other workers.
func (q *ownQueue) with(workers, capacity int) *ownQueue {
	return &ownQueue{
		db: q.db, actions: q.actions, limit: q.limit, workers: workers, capacity: capacity, history: q.history,
		queue: q.queue,
	}
}

func (q *ownQueue) connections() *pgxpool.Pool { return q.db.Pool() }

func (q *ownQueue) statements() statements {
	return statements{
		analyze: `analyze waiting, slots, queues, heads`,
		unfinished: `select exists (select from waiting) or exists (select from delayed)
			or exists (select from slots where status <> 'free')`,
		completed: fmt.Sprintf(`select count(*) from finished where id > '%s' and status = 'completed'`, q.mark),
	}
}

// reset also removes the workers and their slots, since a run may have others.
func (q *ownQueue) reset(ctx context.Context) error {
	tables := "waiting, delayed"
	if !q.history {
		tables += ", finished, attempts"
	}
	return pgx.BeginFunc(ctx, q.db.Pool(), func(tx pgx.Tx) error {
		for _, sql := range []string{
			`truncate ` + tables,
			`update queues set entered = 0, busy = false`,
			`update heads set departed = 0, passed = 0`,
			`truncate slots, workers`,
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		// Ids of the same millisecond are in random order.
		return tx.QueryRow(ctx, `select uuid_floor(clock_timestamp() - interval '1 millisecond')::text`).Scan(&q.mark)
	})
}

// submitBatch is the number of executions in a batch.
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

const workerName = "bench"

// work runs the workers.
func (q *ownQueue) work(ctx context.Context, ran func()) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return q.queue.Run(ctx) })
	for i := range q.workers {
		worker, err := scheduler.NewWorker(scheduler.WorkerConfig{
			Name: fmt.Sprint(workerName, i), Capacity: q.capacity, DB: q.db, Queue: q.queue, Executor: noop(ran),
			Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			cancel()
			return nil, errors.Join(err, group.Wait())
		}
		group.Go(func() error { return worker.Run(ctx) })
	}
	return func() error {
		cancel()
		return group.Wait()
	}, nil
}

func (q *ownQueue) submit(ctx context.Context) (func(context.Context) error, error) {
	n := int(q.next.Add(1))
	e, err := q.queue.Submit(ctx, scheduler.Submission{Action: q.actionRef(n), Parameters: parameters(n)})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return q.queue.Wait(ctx, e.ID) }, nil
}
