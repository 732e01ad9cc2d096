-- Ends an attempt that is to be tried again: its record is kept, its slot is free, and the execution pauses. One that
-- is canceling is not tried again, and finds no row here; nor does one whose pack was removed.
--
-- @worker, @slot, @claim   the claim
-- @age                     how many seconds ago its code began, null when it did not begin
-- @pause                   the pause in seconds
-- @status, @reason, @code, @failure, @usage, @outputs   its outcome
with ended as (
    update slots set status = 'free'
    where worker = @worker and number = @slot and claim = @claim and status in ('scheduled', 'running')
        and exists (select from installations i where i.id = installation_id)
    returning *
), noted as (
    insert into attempts (execution_id, attempt, status, reason, exit_code, failure, usage, outputs, worker,
        scheduled_at, started_at, finished_at)
    select id, attempt, @status, @reason, @code, @failure::text::json, @usage::text::json, @outputs::text::json, worker,
        scheduled_at, case when @age::float8 is not null or started_at is not null then coalesce(started_at,
            greatest(scheduled_at, clock_timestamp() - @age * interval '1 second')) end, clock_timestamp()
    from ended
)
insert into delayed (id, queue_id, attempt, {{run}},
    created_at, retry_at)
select id, queue_id, attempt + 1, {{run}},
    created_at, clock_timestamp() + @pause * interval '1 second'
from ended
returning id::text
