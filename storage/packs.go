package storage

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
)

// Packs are the packs that are known, whether or not an installation has succeeded yet.
type Packs struct{ pool, lists *pgxpool.Pool }

const packColumns = `ref, label, description, author, version, tags, image_digest, created_at, updated_at`

// List returns the packs by name; allowed, where not empty, limits them as Token.Packs does.
func (s *Packs) List(ctx context.Context, allowed []string) ([]attune.Pack, error) {
	return list(ctx, s.lists, "list packs", scanPack, `select `+packColumns+` from packs
		where cardinality($1::text[]) = 0 or ref = any($1) order by ref`, array(allowed))
}

// Get returns one pack.
func (s *Packs) Get(ctx context.Context, ref string) (attune.Pack, error) {
	pack, err := scanPack(s.pool.QueryRow(ctx, `select `+packColumns+` from packs where ref = $1`, ref))
	return pack, Translate("get pack", err, noPack(ref))
}

func noPack(ref string) *attune.Error {
	return attune.Errorf(attune.CodeNotFound, "there is no pack %q", ref)
}

func scanPack(row pgx.Row) (p attune.Pack, err error) {
	err = row.Scan(&p.Ref, &p.Label, &p.Description, &p.Author, &p.Version, &p.Tags, &p.ImageDigest, &p.CreatedAt,
		&p.UpdatedAt)
	return p, err
}
