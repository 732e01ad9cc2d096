package migrations_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"attune/migrations"
	"attune/storage/storagetest"
)

func TestApplyFromSeveralProcesses(t *testing.T) {
	t.Parallel()
	url := storagetest.EmptyDatabaseURL(t)
	var group errgroup.Group
	for range 8 {
		group.Go(func() error { return migrations.Apply(t.Context(), url) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Apply(t.Context(), url); err != nil {
		t.Fatalf("a second time: %v", err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var tables int
	if err := conn.QueryRow(t.Context(),
		`select count(*) from pg_tables where schemaname = 'public'`).Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables < 9 {
		t.Errorf("there are %d tables", tables)
	}
}

func TestApplyRefusesANewerDatabase(t *testing.T) {
	t.Parallel()
	url := storagetest.DatabaseURL(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), `update public.schema_version set version = 9999`); err != nil {
		t.Fatal(err)
	}
	err = migrations.Apply(t.Context(), url)
	if err == nil || !strings.Contains(err.Error(), "9999") {
		t.Fatalf("got %v", err)
	}
}
