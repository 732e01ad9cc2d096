package storage

import (
	"context"
	"encoding/base64"

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

// maxActionBytes bounds the actions of a page together, but for its first. One with its schemas may have a megabyte.
const maxActionBytes = 4 << 20

// List returns actions by name: all, or those of one pack, and the cursor of the next page, which is empty at the end.
// allowed, where not empty, limits them to these packs. cursor is the one that came with the page before.
func (s *Actions) List(
	ctx context.Context, pack string, allowed []string, cursor string,
) (found []InstalledAction, next string, err error) {
	after, err := decodeActionCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	rows, err := s.lists.Query(ctx, selectActions+`
		where ($1 = '' or a.pack = $1) and (cardinality($2::text[]) = 0 or a.pack = any($2)) and a.ref > $3
		order by a.ref limit $4`, pack, array(allowed), after, maxListLimit+1)
	if err != nil {
		return nil, "", Translate("list actions", err)
	}
	defer rows.Close()
	found, size := []InstalledAction{}, 0
	for rows.Next() {
		size += len(rows.RawValues()[0])
		if len(found) > 0 && size > maxActionBytes || len(found) == maxListLimit {
			return found, base64.RawURLEncoding.EncodeToString([]byte(found[len(found)-1].Ref)), nil
		}
		a, err := scanAction(rows)
		if err != nil {
			return nil, "", Translate("list actions", err)
		}
		found = append(found, a)
	}
	return found, "", Translate("list actions", rows.Err())
}

// decodeActionCursor returns the last action of the page before.
func decodeActionCursor(cursor string) (string, error) {
	ref, err := base64.RawURLEncoding.DecodeString(cursor)
	if _, _, ok := attune.SplitActionRef(string(ref)); err != nil || cursor != "" && !ok {
		return "", wrongCursor()
	}
	return string(ref), nil
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
