-- Ends an attempt that is to be tried again: its record is kept, its slot is free, and the execution pauses. One that is
-- canceling is not tried again, and finds no row here; nor is one whose pack was removed.
--
-- $1 worker, $2 slot number, $3 claim, $4 status, $5 reason, $6 exit code, $7 failure, $8 pause in seconds, $9 usage,
-- $10 outputs
with ended as (
    update slots set status = 'free'
    where worker = $1 and number = $2 and claim = $3 and status in ('scheduled', 'running')
        and exists (select from installations i where i.id = installation_id)
    returning *
), noted as (
    insert into attempts (execution_id, attempt, status, reason, exit_code, failure, usage, outputs, worker,
        scheduled_at, started_at, finished_at)
    select id, attempt, $4, $5, $6, $7::text::json, $9::text::json, $10::text::json, worker,
        scheduled_at, started_at, clock_timestamp() from ended
)
insert into delayed (id, queue_id, attempt, {{run}},
    created_at, retry_at)
select id, queue_id, attempt + 1, {{run}},
    created_at, clock_timestamp() + $8 * interval '1 second'
from ended
returning id::text
