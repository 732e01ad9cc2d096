-- What a run took of its host, and the files it left: documents, for nothing is ever searched or summed by them, and null
-- where nothing ran. docs/cli.md explains them to users.
alter table finished add column usage json, add column outputs json;
alter table attempts add column usage json, add column outputs json;

create or replace view executions as
    select w.id, w.queue_id, w.ticket, q.key as queue_key, w.attempt, w.action, w.pack, w.pack_version, w.installation_id,
        w.image_digest, w.parameters, 'queued' as status, '' as reason, null::integer as exit_code, null::json as result,
        null::json as failure, '' as worker, w.created_at, null::timestamptz as scheduled_at,
        null::timestamptz as started_at, null::timestamptz as finished_at, null::timestamptz as retry_at,
        null::json as usage, null::json as outputs
    from waiting w join queues q on q.id = w.queue_id
union all
    select d.id, d.queue_id, null, q.key, d.attempt, d.action, d.pack, d.pack_version, d.installation_id,
        d.image_digest, d.parameters, 'queued', '', null, null,
        null, '', d.created_at, null,
        null, null, d.retry_at, null, null
    from delayed d join queues q on q.id = d.queue_id
union all
    select s.id, s.queue_id, s.ticket, q.key, s.attempt, s.action, s.pack, s.pack_version, s.installation_id,
        s.image_digest, s.parameters, s.status, '', null, null,
        null, s.worker, s.created_at, s.scheduled_at,
        s.started_at, null, null, null, null
    from slots s join queues q on q.id = s.queue_id
    where s.status <> 'free'
union all
    select f.id, null, null, f.queue_key, f.attempt, f.action, f.pack, f.pack_version, f.installation_id,
        f.image_digest, f.parameters, f.status, f.reason, f.exit_code, f.result,
        f.failure, f.worker, f.created_at, f.scheduled_at,
        f.started_at, f.finished_at, null, f.usage, f.outputs
    from finished f;
