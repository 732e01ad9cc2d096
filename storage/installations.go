package storage

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
)

// InstallationChannel is notified, without a payload, when an installation may be waiting or an image may have lost its
// pack.
const InstallationChannel = "attune_installations"

// Installations are the attempts to turn an archive into an image, and the manifests of those archives. A worker builds
// them: see Claim, SetPhase and Fail; the queue makes what was built serve.
type Installations struct{ pool *pgxpool.Pool }

const installationColumns = `i.id, i.pack, i.version, i.archive_sha256, i.status, i.phase, i.error, i.image_digest,
	i.created_at, i.started_at, i.finished_at`

// Create records an archive in the pack bucket as a pending installation, and its pack when that is new. The
// caller notifies the workers afterwards.
func (s *Installations) Create(
	ctx context.Context, m attune.Manifest, archiveSHA256 string,
) (attune.Installation, error) {
	manifest, err := json.Marshal(m)
	if err != nil {
		return attune.Installation{}, Translate("encode manifest", err)
	}
	var made attune.Installation
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into packs (ref, label, description, author, tags) values ($1, $2, $3, $4, $5)
			on conflict (ref) do nothing`, m.Ref, m.Label, m.Description, m.Author, array(m.Tags))
		if err != nil {
			return err
		}
		made, err = scanInstallation(tx.QueryRow(ctx, `insert into installations as i
			(id, pack, version, archive_sha256, manifest) values ($1, $2, $3, $4, $5) returning `+installationColumns,
			newID(), m.Ref, m.Version, archiveSHA256, manifest))
		return err
	})
	return made, Translate("create installation", err,
		attune.Errorf(attune.CodeConflict, "the pack %q was removed at this moment; try again", m.Ref))
}

// Latest returns the newest installation of a pack.
func (s *Installations) Latest(ctx context.Context, pack string) (attune.Installation, error) {
	installation, err := scanInstallation(s.pool.QueryRow(ctx, `select `+installationColumns+` from installations i
		where pack = $1 order by created_at desc, id desc limit 1`, pack))
	return installation, Translate("get latest installation", err, noPack(pack))
}

// Get returns one installation.
func (s *Installations) Get(ctx context.Context, id string) (attune.Installation, error) {
	if !validID(id) {
		return attune.Installation{}, noInstallation(id)
	}
	installation, err := scanInstallation(s.pool.QueryRow(ctx,
		`select `+installationColumns+` from installations i where id = $1`, id))
	return installation, Translate("get installation", err, noInstallation(id))
}

// List returns the installations of a pack, newest first.
func (s *Installations) List(ctx context.Context, pack string) ([]attune.Installation, error) {
	return list(ctx, s.pool, "list installations", scanInstallation, `select `+installationColumns+` from installations i
		where pack = $1 order by created_at desc, id desc`, pack)
}

// Manifest returns what the archive of an installation says about itself.
func (s *Installations) Manifest(ctx context.Context, id string) (attune.Manifest, error) {
	var m attune.Manifest
	if !validID(id) {
		return m, noInstallation(id)
	}
	err := s.pool.QueryRow(ctx, `select manifest from installations where id = $1`, id).Scan(&m)
	return m, Translate("get manifest", err, noInstallation(id))
}

// Archive returns what it takes to install a version again: manifest and archive digest of its newest installation. An
// empty version takes the newest installation of all.
func (s *Installations) Archive(
	ctx context.Context, pack, version string,
) (m attune.Manifest, sha256 string, err error) {
	err = s.pool.QueryRow(ctx, `select manifest, archive_sha256 from installations
		where pack = $1 and ($2 = '' or version = $2)
		order by created_at desc, id desc limit 1`, pack, version).Scan(&m, &sha256)
	return m, sha256, Translate("get archive of pack", err,
		attune.Errorf(attune.CodeNotFound, "there is no archive of pack %q in that version", pack))
}

// Action returns an action as it stands in an installation, whatever serves now. Its ID is empty, as in any manifest.
func (s *Installations) Action(ctx context.Context, installationID, actionRef string) (attune.Action, error) {
	m, err := s.Manifest(ctx, installationID)
	if err != nil {
		return attune.Action{}, err
	}
	for _, a := range m.Actions {
		if a.Ref == actionRef {
			return a, nil
		}
	}
	return attune.Action{}, noAction(actionRef)
}

// Digests returns the images that must be kept: of the versions that serve, and of the executions that have not ended.
func (s *Installations) Digests(ctx context.Context) ([]string, error) {
	return list(ctx, s.pool, "list image digests", scanText, `select image_digest from packs where image_digest <> ''
		union select image_digest from waiting
		union select image_digest from delayed
		union select image_digest from slots where status <> 'free'`)
}

func noInstallation(id string) *attune.Error {
	return attune.Errorf(attune.CodeNotFound, "there is no installation %q", id)
}

func scanInstallation(row pgx.Row) (i attune.Installation, err error) {
	err = row.Scan(installationFields(&i)...)
	i.Progress = i.Phase.Progress()
	return i, err
}

// installationFields are the targets of installationColumns.
func installationFields(i *attune.Installation) []any {
	return []any{
		&i.ID, &i.Pack, &i.Version, &i.ArchiveSHA256, &i.Status, &i.Phase, &i.Error, &i.ImageDigest,
		&i.CreatedAt, &i.StartedAt, &i.FinishedAt,
	}
}

func scanText(row pgx.Row) (s string, err error) {
	err = row.Scan(&s)
	return s, err
}
