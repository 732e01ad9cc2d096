// Package owndb gives a test a PostgreSQL server that it may stop, start again and crash.
package owndb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attune/internal/daemon"
	"attune/internal/testservices/dburl"
)

// timeout bounds a start, a stop and a recovery after a crash.
const timeout = time.Minute

// Server is a PostgreSQL with an empty database.
type Server struct {
	// URL is the superuser's, and stays the same.
	URL string

	tb     testing.TB
	config daemon.Config
	set    *daemon.Set // nil while it is down
}

// New starts a server with more settings, each as name=value; it goes away with the test.
func New(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	// Only the owner may enter the test's own folder.
	dir, err := os.MkdirTemp("", "owndb")
	if err != nil {
		tb.Fatal(err)
	}
	// The kernel still gets every commit, so only a crash of the whole host would lose any.
	settings = append(settings, dburl.Listen, "fsync=off", "full_page_writes=off")
	s := &Server{tb: tb, config: daemon.Config{Dir: dir, Postgres: true, PostgresSettings: settings}}
	tb.Cleanup(func() {
		s.Stop()
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	s.Start()
	if s.URL, err = dburl.OverTCP(s.set.DatabaseURL); err != nil {
		tb.Fatal(err)
	}
	return s
}

// Start returns when the server serves.
func (s *Server) Start() {
	s.tb.Helper()
	ctx, cancel := s.bounded()
	defer cancel()
	set, err := daemon.Start(ctx, s.config)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.set = set
}

// Stop stops the server in an orderly way: every commit is on the disk.
func (s *Server) Stop() {
	s.tb.Helper()
	if s.set == nil {
		return
	}
	ctx, cancel := s.bounded()
	defer cancel()
	if err := s.set.Close(ctx); err != nil {
		s.tb.Error(err)
	}
	s.set = nil
}

// Crash kills the server. Commits that did not wait for the disk are lost if they are not there yet. It returns when
// the server has recovered.
func (s *Server) Crash() {
	s.tb.Helper()
	before := s.postmaster()
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		s.tb.Fatal(err)
	}
	ctx, cancel := s.bounded()
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !s.serves(ctx, before) {
		select {
		case <-ctx.Done():
			s.tb.Fatal("PostgreSQL does not recover from a crash")
		case <-tick.C:
		}
	}
}

// serves reports whether another process than the one before answers.
func (s *Server) serves(ctx context.Context, before int) bool {
	if s.postmaster() == before {
		return false
	}
	conn, err := pgx.Connect(ctx, s.URL)
	return err == nil && errors.Join(conn.Ping(ctx), conn.Close(ctx)) == nil
}

// postmaster returns the pid of the server's main process; 0 while it does not run.
func (s *Server) postmaster() int {
	text, _ := os.ReadFile(filepath.Join(s.config.Dir, "postgres", "data", "postmaster.pid"))
	line, _, _ := strings.Cut(string(text), "\n")
	pid, _ := strconv.Atoi(line)
	return pid
}

// bounded returns a context that outlives the test's own, which has ended before the cleanup.
func (s *Server) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(s.tb.Context()), timeout)
}
