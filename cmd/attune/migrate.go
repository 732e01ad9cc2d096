package main

import (
	"context"
	"fmt"

	"attune/migrations"
)

// migrateCommand brings a database's schema up to date. Servers and workers do so themselves when they start.
type migrateCommand struct{}

// Help is the long text of `attune migrate --help`.
func (*migrateCommand) Help() string {
	return `The database is the one of ATTUNE_DATABASE_URL. Servers and workers do this by themselves when they start.
`
}

// Run applies what is missing.
func (c *migrateCommand) Run(ctx context.Context, s *session) error {
	url := s.getenv("ATTUNE_DATABASE_URL")
	if url == "" {
		return &userError{message: "no database is given", hint: "set ATTUNE_DATABASE_URL", status: exitUsage}
	}
	if err := migrations.Apply(ctx, url); err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, "the schema is up to date")
	return nil
}
