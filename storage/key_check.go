package storage

import (
	"context"

	"attune"
)

// keyCheckText is what every key must get back. It is not secret.
const keyCheckText = "attune key check"

// CheckKey makes sure that all processes on the database seal with the same key. The first one to ask decides which. A
// process with another key must not go on: it could not open the secrets of the others, nor they its own.
func (db *DB) CheckKey(ctx context.Context) error {
	sealed, err := db.Secrets.sealer.Seal([]byte(keyCheckText), keyCheckText)
	if err != nil {
		return err
	}
	// The first text stays. Of two that come at once, the second waits for the first.
	_, err = db.pool.Exec(ctx, `insert into key_check (sealed) values ($1) on conflict do nothing`, sealed)
	if err != nil {
		return Translate("check key", err)
	}
	if err := db.pool.QueryRow(ctx, `select sealed from key_check`).Scan(&sealed); err != nil {
		return Translate("check key", err)
	}
	if _, err := db.Secrets.sealer.Open(sealed, keyCheckText); err != nil {
		return &attune.Error{
			Code:    attune.CodeConflict,
			Message: "the secrets in this database were sealed with another key; use the key file that it was set up with",
			Cause:   err,
		}
	}
	return nil
}
