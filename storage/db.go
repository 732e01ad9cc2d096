package storage

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
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

	pool *pgxpool.Pool
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
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("make connection pool: %w", err)
	}
	db := &DB{
		Packs:         &Packs{pool},
		Installations: &Installations{pool},
		Actions:       &Actions{pool},
		Executions:    &Executions{pool},
		Policies:      &Policies{pool},
		Secrets:       &Secrets{pool, sealer},
		Tokens:        &Tokens{pool},
		Workers:       &Workers{pool},
		pool:          pool,
	}
	if err := db.Ping(ctx); err != nil {
		pool.Close()
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

// Close waits until every connection has been given back, and closes them.
func (db *DB) Close() { db.pool.Close() }

// Ping fails unless the database answers.
func (db *DB) Ping(ctx context.Context) error { return Translate("ping database", db.pool.Ping(ctx)) }
