package storage

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
)

// Actions reads the actions of the versions that serve now.
type Actions struct{ pool, lists *pgxpool.Pool }

// InstalledAction is an action with the version of its pack that serves now.
type InstalledAction struct {
	attune.Action
	InstallationID string `json:"installation_id"`
	PackVersion    string `json:"pack_version"`
	ImageDigest    string `json:"image_digest"`
}

const selectActions = `select a.spec, a.id, a.installation_id, p.version, p.image_digest
	from actions a join packs p on p.ref = a.pack `

// List returns actions by name: all, or those of one pack. allowed, where not empty, limits them to these packs.
func (s *Actions) List(ctx context.Context, pack string, allowed []string) ([]InstalledAction, error) {
	return list(ctx, s.lists, "list actions", scanAction, selectActions+`
		where ($1 = '' or a.pack = $1) and (cardinality($2::text[]) = 0 or a.pack = any($2))
		order by a.ref`, pack, array(allowed))
}

// Get returns one action by its ref or its id.
func (s *Actions) Get(ctx context.Context, refOrID string) (InstalledAction, error) {
	column := "a.ref"
	if validID(refOrID) {
		column = "a.id"
	}
	action, err := scanAction(s.pool.QueryRow(ctx, selectActions+`where `+column+` = $1`, refOrID))
	return action, Translate("get action", err, noAction(refOrID))
}

func noAction(ref string) *attune.Error {
	return attune.Errorf(attune.CodeNotFound, "there is no action %q", ref)
}

func scanAction(row pgx.Row) (a InstalledAction, err error) {
	var id string
	err = row.Scan(&a.Action, &id, &a.InstallationID, &a.PackVersion, &a.ImageDigest)
	a.ID = id
	return a, err
}
