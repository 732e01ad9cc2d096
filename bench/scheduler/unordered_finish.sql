-- Ends executions and frees their slots, and writes what an end writes.
--
-- $1 worker, $2 slots, $3 claims
with ended as (
    update slots s set status = 'free'
    from unnest($2::integer[], $3::bigint[]) o(number, claim)
    where s.worker = $1 and s.number = o.number and s.claim = o.claim and s.status <> 'free'
    returning s.*
)
insert into finished (id, queue_key, attempt, action, pack, pack_version, installation_id, image_digest, parameters,
    status, reason, worker, created_at, scheduled_at, started_at, finished_at)
select id, queue_key, attempt, action, pack, pack_version, installation_id, image_digest, parameters,
    'completed', '', worker, created_at, scheduled_at, scheduled_at, clock_timestamp()
from ended
