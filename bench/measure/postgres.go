package measure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"attune/internal/daemon"
)

// Postgres is a private server with the durability that PostgreSQL has by default. It and all its data are gone after
// Close.
type Postgres struct {
	set *daemon.Set
	dir string
	CPU *CPU
}

// StartPostgres starts the newest PostgreSQL that is installed, on a new folder.
func StartPostgres(ctx context.Context) (_ *Postgres, err error) {
	// Short, and open to the user that runs PostgreSQL.
	dir, err := os.MkdirTemp("/tmp", "attune-bench-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	set, err := daemon.Start(ctx, daemon.Config{
		Dir: dir, Postgres: true, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	p := &Postgres{set: set, dir: dir}
	pid, err := postmaster(dir)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.CPU = &CPU{Postmaster: pid}
	return p, nil
}

func postmaster(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "postgres", "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first)
}

// closeTimeout is more than PostgreSQL is given to end by itself.
const closeTimeout = time.Minute

// Close ends the server and deletes its data.
func (p *Postgres) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return errors.Join(p.set.Close(ctx), os.RemoveAll(p.dir))
}

// CreateDatabase makes an empty database and returns its URL.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) (string, error) {
	err := p.query(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()+" template template0")
		return err
	})
	if err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	u, err := url.Parse(p.set.DatabaseURL)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// Settings describes the server in one line: its version, and what matters for durability and speed.
func (p *Postgres) Settings(ctx context.Context) (text string, err error) {
	err = p.query(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select 'PostgreSQL ' || current_setting('server_version') || ': ' ||
			string_agg(name || '=' || current_setting(name), ', ' order by ordinality)
			from unnest(array['fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'data_checksums',
				'shared_buffers', 'max_wal_size', 'checkpoint_timeout', 'autovacuum', 'jit', 'max_connections'])
			with ordinality as s (name)`).Scan(&text)
	})
	return text, err
}

func (p *Postgres) query(ctx context.Context, fn func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, p.set.DatabaseURL)
	if err != nil {
		return err
	}
	return errors.Join(fn(conn), conn.Close(ctx))
}
