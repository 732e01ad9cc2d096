package storage

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"attune"
)

// Claim gives the worker the oldest pending installation of a pack that nobody is installing; nil when there is none.
// What a worker held whose lease has run out goes back to pending first: a build may safely be done twice, since Succeed
// is guarded by the worker's name.
func (s *Installations) Claim(ctx context.Context, worker string) (*attune.Installation, attune.Manifest, error) {
	if _, err := s.pool.Exec(ctx, `update installations i set status = 'pending', worker = '', phase = 'queued'
		from workers w where i.status = 'installing' and w.name = i.worker and w.lease_expires_at < now()`); err != nil {
		return nil, attune.Manifest{}, Translate("release installations of lost workers", err)
	}
	for {
		claimed, manifest, err := s.claim(ctx, worker)
		switch {
		case isUnique(err):
			// Another worker has just taken an installation of the same pack; the next look sees that.
		case errors.Is(err, pgx.ErrNoRows):
			return nil, attune.Manifest{}, nil
		case err != nil:
			return nil, attune.Manifest{}, Translate("claim installation", err)
		default:
			return &claimed, manifest, nil
		}
	}
}

func (s *Installations) claim(ctx context.Context, worker string) (i attune.Installation, m attune.Manifest, err error) {
	err = s.pool.QueryRow(ctx, `update installations i set status = 'installing', phase = 'fetch', worker = $1, started_at = now()
		where id = (
			select id from installations p where status = 'pending'
			and not exists (select from installations o where o.pack = p.pack and o.status = 'installing')
			order by created_at, id limit 1 for update skip locked)
		returning `+installationColumns+`, manifest`, worker).Scan(append(installationFields(&i), &m)...)
	i.Progress = i.Phase.Progress()
	return i, m, err
}

// SetPhase records how far the worker has come with what it claimed.
func (s *Installations) SetPhase(ctx context.Context, id, worker string, phase attune.InstallationPhase) error {
	return Translate("set installation phase", change(ctx, s.pool, `update installations set phase = $3
		where id = $1 and worker = $2 and status = 'installing'`, id, worker, phase), notYours(id))
}

// Fail ends what the worker claimed; message is for people. The version that served before goes on serving.
func (s *Installations) Fail(ctx context.Context, id, worker, message string) error {
	// PostgreSQL takes neither broken UTF-8 nor NUL, and a message may quote what a tool printed.
	message = strings.ReplaceAll(strings.ToValidUTF8(message, "\uFFFD"), "\x00", "\uFFFD")
	return Translate("fail installation", change(ctx, s.pool, `update installations
		set status = 'failed', error = $3, finished_at = now()
		where id = $1 and worker = $2 and status = 'installing'`, id, worker, message), notYours(id))
}

// Succeed ends what the worker claimed and makes it the version that serves, in one transaction: new executions run in
// its image, its actions are there under the ids that their refs always had, the ones it lacks are gone, and its policies
// are in force.
//
// The newest created installation that succeeded serves: when a newer one has succeeded meanwhile, this one is installed
// and changes nothing else.
func (s *Installations) Succeed(ctx context.Context, id, worker, imageDigest string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lockChanges(ctx, tx); err != nil {
			return err
		}
		var m attune.Manifest
		var newest bool
		if err := tx.QueryRow(ctx, `select ref from packs
			where ref = (select pack from installations where id = $1) for update`, id).Scan(new(string)); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `update installations i
			set status = 'installed', phase = 'done', image_digest = $3, finished_at = now()
			where id = $1 and worker = $2 and status = 'installing'
			returning manifest, not exists (select from installations n
				where n.pack = i.pack and n.status = 'installed' and (n.created_at, n.id) > (i.created_at, i.id))`,
			id, worker, imageDigest).Scan(&m, &newest)
		if err != nil || !newest {
			return err
		}
		return serve(ctx, tx, id, imageDigest, m)
	})
	return Translate("finish installation", err, notYours(id))
}

// serve makes an installation the one that new executions use.
func serve(ctx context.Context, tx pgx.Tx, id, imageDigest string, m attune.Manifest) error {
	batch := &pgx.Batch{}
	batch.Queue(`update packs set label = $2, description = $3, author = $4, tags = $5, version = $6, image_digest = $7,
		updated_at = now() where ref = $1`, m.Ref, m.Label, m.Description, m.Author, array(m.Tags), m.Version, imageDigest)
	refs := make([]string, 0, len(m.Actions))
	for _, a := range m.Actions {
		refs = append(refs, a.Ref)
		spec, err := json.Marshal(a)
		if err != nil {
			return err
		}
		batch.Queue(`insert into actions (id, ref, pack, installation_id, spec) values ($1, $2, $3, $4, $5)
			on conflict (ref) do update set installation_id = $4, spec = $5, updated_at = now()`,
			newID(), a.Ref, m.Ref, id, spec)
	}
	batch.Queue(`delete from actions where pack = $1 and not ref = any($2)`, m.Ref, refs)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return replacePackPolicies(ctx, tx, m)
}

// ResetLost gives back what the worker claimed and did not finish. Call it only while the worker builds nothing.
func (s *Installations) ResetLost(ctx context.Context, worker string) error {
	return Translate("reset lost installations", resetLost(ctx, s.pool, worker))
}

func resetLost(ctx context.Context, db execer, worker string) error {
	_, err := db.Exec(ctx, `update installations set status = 'pending', worker = '', phase = 'queued'
		where worker = $1 and status = 'installing'`, worker)
	return err
}

func notYours(id string) *attune.Error {
	return attune.Errorf(attune.CodeNotFound, "installation %q is gone or no longer held by this worker", id)
}
