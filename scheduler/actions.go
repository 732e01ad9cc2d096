package scheduler

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/internal/jsonschema"
	"attune/storage"
)

// installedAction is what a submission must know of its action. It may be outdated: enqueue.sql compares the
// installation and the queue that a submission was checked against.
type installedAction struct {
	storage.InstalledAction
	schema *jsonschema.Schema
	// key names the parameters of the concurrency key in force.
	key []string

	mu     sync.Mutex
	queues map[string]int32
}

// maxQueuesCached bounds the cache for an action with very many keys.
const maxQueuesCached = 10_000

// actionCache keeps actions by ref or id, as they were given.
type actionCache struct {
	db *storage.DB
	mu sync.Mutex
	by map[string]*installedAction
}

func (c *actionCache) init(db *storage.DB) { c.db, c.by = db, make(map[string]*installedAction) }

// get returns an action; fresh says that the cached one was found outdated.
func (c *actionCache) get(ctx context.Context, refOrID string, fresh bool) (*installedAction, error) {
	c.mu.Lock()
	known := c.by[refOrID]
	c.mu.Unlock()
	if known != nil && !fresh {
		return known, nil
	}
	a := &installedAction{queues: make(map[string]int32)}
	var err error
	if a.InstalledAction, err = c.db.Actions.Get(ctx, refOrID); err != nil {
		c.forget(refOrID)
		return nil, err
	}
	if a.schema, err = jsonschema.Compile(a.Parameters); err != nil {
		return nil, fmt.Errorf("compile parameters schema of %s: %w", a.Ref, err)
	}
	if a.key, err = c.db.Policies.Key(ctx, a.Ref); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[refOrID] = a
	return a, nil
}

func (c *actionCache) forget(refOrID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.by, refOrID)
}

// queue returns the id of the queue that parameters belong to.
func (c *actionCache) queue(ctx context.Context, a *installedAction, parameters []byte) (int32, error) {
	key, err := attune.QueueKey(a.key, parameters)
	if err != nil {
		return 0, err
	}
	a.mu.Lock()
	id, known := a.queues[key]
	a.mu.Unlock()
	if known {
		return id, nil
	}
	if id, err = queueID(ctx, c.db.Pool(), a.Ref, key); err != nil {
		return 0, storage.Translate("find the queue of "+a.Ref, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queues) >= maxQueuesCached {
		clear(a.queues)
	}
	a.queues[key] = id
	return id, nil
}

// queueID finds the queue of an action and a key, and makes it when it is new.
func queueID(ctx context.Context, db storage.Querier, action, key string) (id int32, err error) {
	// What another transaction has made or removed meanwhile is visible only in a new snapshot, hence another try.
	// Each of them means that another transaction has committed.
	for err = pgx.ErrNoRows; errors.Is(err, pgx.ErrNoRows) && ctx.Err() == nil; {
		err = db.QueryRow(ctx, `
			with made as (
				insert into queues (action, pack, key) select $1, split_part($1, '.', 1), $2
				where not exists (select from queues where action = $1 and key = $2)
				on conflict (action, key) do nothing returning id
			), head as (
				insert into heads (queue_id) select id from made
			)
			select id from made union all select id from queues where action = $1 and key = $2`, action, key).Scan(&id)
	}
	return id, err
}
