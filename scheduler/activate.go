package scheduler

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// Activate ends an installation that a worker has built and makes its version the one that serves, in one transaction:
// new executions run in its image, its actions keep the ids that their refs always had, actions that it lacks are
// gone, and its policies are in force. CodeNotFound: the worker does not hold the installation any more.
//
// The newest created installation that succeeded serves: when a newer one has succeeded meanwhile, this one is
// installed and changes nothing else.
func (q *Queue) Activate(ctx context.Context, installationID, worker, imageDigest string) error {
	err := q.transact(ctx, func(tx pgx.Tx) error {
		if err := lockChanges(ctx, tx); err != nil {
			return err
		}
		var m attune.Manifest
		var newest bool
		err := tx.QueryRow(ctx, `select from packs
			where ref = (select pack from installations where id = $1) for update`, installationID).Scan()
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `update installations i
			set status = 'installed', phase = 'done', image_digest = @digest, finished_at = now()
			where id = @id and worker = @worker and status = 'installing'
			returning manifest, not exists (select from installations n
				where n.pack = i.pack and n.status = 'installed' and (n.created_at, n.id) > (i.created_at, i.id))`,
			pgx.NamedArgs{"id": installationID, "worker": worker, "digest": imageDigest}).Scan(&m, &newest)
		if err != nil || !newest {
			return err
		}
		return activate(ctx, tx, installationID, imageDigest, m)
	})
	if err == nil {
		q.signalAll() // a gate may be wider now
	}
	return storage.Translate("activate installation", err, storage.NotHeld(installationID))
}

// activate makes an installation the one that new executions use. The caller holds the locks of lockChanges.
func activate(ctx context.Context, tx pgx.Tx, installationID, imageDigest string, m attune.Manifest) error {
	batch := &pgx.Batch{}
	batch.Queue(`update packs set label = @label, description = @description, author = @author,
			tags = coalesce(@tags::text[], '{}'), version = @version, image_digest = @digest, updated_at = now()
		where ref = @ref`, pgx.NamedArgs{
		"ref": m.Ref, "label": m.Label, "description": m.Description, "author": m.Author, "tags": m.Tags,
		"version": m.Version, "digest": imageDigest,
	})
	refs := make([]string, 0, len(m.Actions))
	for _, a := range m.Actions {
		refs = append(refs, a.Ref)
		spec, err := json.Marshal(a)
		if err != nil {
			return err
		}
		batch.Queue(`insert into actions (id, ref, pack, installation_id, spec)
			values (@id, @ref, @pack, @installation, @spec)
			on conflict (ref) do update set installation_id = excluded.installation_id, spec = excluded.spec,
				updated_at = now()`, pgx.NamedArgs{
			"id": uuid.Must(uuid.NewV7()), "ref": a.Ref, "pack": m.Ref, "installation": installationID, "spec": spec,
		})
	}
	batch.Queue(`delete from actions where pack = $1 and not ref = any($2)`, m.Ref, refs)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return replacePackPolicies(ctx, tx, m)
}
