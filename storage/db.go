package storage

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Lists have a pool of their own, so that expensive ones never take the connections of heartbeats and submissions.
const (
	maxListConns = 4
	// listTimeout ends the statement of a list unless the URL says statement_timeout.
	listTimeout = "5s"
)

// defaultMaxConns holds unless the URL says pool_max_conns. PostgreSQL allows 100 connections by default, and several
// processes share them.
const defaultMaxConns = 16

// DB is the database, by noun.
type DB struct {
	Packs         *Packs
	Installations *Installations
	Actions       *Actions
	Executions    *Executions
	Policies      *Policies
	Secrets       *Secrets
	Tokens        *Tokens
	Workers       *Workers

	pool, lists *pgxpool.Pool
}

// Open connects to a database whose schema is up to date. The URL may set whatever pgxpool and PostgreSQL understand,
// such as pool_max_conns or statement_timeout, except the isolation of transactions. The caller closes it.
func Open(ctx context.Context, url string, sealer *Sealer) (*DB, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("parse database URL: %w", err)
	}
	if !strings.Contains(url, "pool_max_conns=") {
		config.MaxConns = defaultMaxConns
	}
	_, ownTimeout := config.ConnConfig.RuntimeParams["statement_timeout"]
	defaults := map[string]string{
		"application_name":                    "attune",
		"statement_timeout":                   "30s",
		"idle_in_transaction_session_timeout": "60s",
		// Compiling a statement takes longer than running it, and the planner's guesses at busy tables ask for it.
		"jit": "off",
		// Planning each time takes too long as well. The tables of the queue fill and empty within seconds, so one plan
		// must suit every size: the one that uses the indexes.
		"plan_cache_mode": "force_generic_plan",
		"enable_seqscan":  "off",
	}
	for name, value := range defaults {
		if _, set := config.ConnConfig.RuntimeParams[name]; !set {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	if err := isolate(config.ConnConfig.RuntimeParams); err != nil {
		return nil, err
	}
	listConfig := config.Copy()
	listConfig.MaxConns = min(config.MaxConns, maxListConns)
	listConfig.MinConns, listConfig.MinIdleConns = 0, 0
	if !ownTimeout {
		listConfig.ConnConfig.RuntimeParams["statement_timeout"] = listTimeout
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("make connection pool: %w", err)
	}
	lists, err := pgxpool.NewWithConfig(ctx, listConfig)
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("make connection pool: %w", err)
	}
	db := &DB{
		Packs:         &Packs{pool, lists},
		Installations: &Installations{pool},
		Actions:       &Actions{pool, lists},
		Executions:    &Executions{pool, lists},
		Policies:      &Policies{pool, lists},
		Secrets:       &Secrets{pool, lists, sealer},
		Tokens:        &Tokens{pool, lists},
		Workers:       &Workers{lists},
		pool:          pool,
		lists:         lists,
	}
	if err := db.Ping(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// isolate gives each statement its own snapshot: a statement that follows a lock must see what was committed before it.
// This overrides the default of the server, the database or the role. A URL that asks for another level is refused.
func isolate(params map[string]string) error {
	const name, level = "default_transaction_isolation", "read committed"
	if asked, set := params[name]; set && !strings.EqualFold(asked, level) {
		return fmt.Errorf("the database URL sets %s to %q: order and limits need %q, so leave it out", name, asked, level)
	}
	params[name] = level
	return nil
}

// Pool is for the scheduler, which writes its own statements. Other packages use the nouns.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Lists is for the scheduler's answers to the API that read many rows. They never delay what goes through Pool.
func (db *DB) Lists() *pgxpool.Pool { return db.lists }

// Close waits until every connection has been given back, and closes them.
func (db *DB) Close() {
	db.pool.Close()
	db.lists.Close()
}

// Ping fails unless the database answers.
func (db *DB) Ping(ctx context.Context) error { return Translate("ping database", db.pool.Ping(ctx)) }
