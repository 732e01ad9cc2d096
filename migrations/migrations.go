package migrations

import (
	"context"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
)

//go:embed *.sql
var files embed.FS

// versionTable keeps the number of the last migration that was applied.
const versionTable = "public.schema_version"

// Apply brings the database to the newest schema that this binary knows, each migration in a transaction of its own. It
// may run in several processes at once: an advisory lock lets them through one after the other, and the later ones find
// nothing to do. A database that is newer than the binary is an error.
//
// The lock belongs to the session, so databaseURL must not lead through a transaction pooler.
func Apply(ctx context.Context, databaseURL string) (err error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("connect for migrations: %w", err)
	}
	// Closing the session also frees the lock, should ctx have ended while it was held.
	defer func() {
		if closeErr := conn.Close(context.WithoutCancel(ctx)); err == nil && closeErr != nil {
			err = fmt.Errorf("close migration connection: %w", closeErr)
		}
	}()
	migrator, err := migrate.NewMigrator(ctx, conn, versionTable)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if err := migrator.LoadMigrations(files); err != nil {
		return fmt.Errorf("load migrations: %w", err)
	}
	if err := migrator.Migrate(ctx); err != nil {
		return fmt.Errorf("apply migrations: %w", err)
	}
	return nil
}
