-- Returns to their queues the executions that a worker was given and whose code has certainly not begun. Tickets stay, and
-- with them the positions. Run under the admission lock, so that an admission whose answer was lost has committed or failed.
--
-- @worker, @life  the worker and its life: what another process has under its name may have begun
-- @keep           the claims that it keeps
with released as (
    update slots s set status = 'free'
    where s.status in ('scheduled', 'running') and s.worker = @worker and s.claim <> all (@keep::bigint[])
        and exists (select from workers where name = @worker and life = @life)
    returning s.*
), returned as (
    insert into waiting (id, queue_id, ticket, attempt, {{run}},
        created_at, queued_at, wait_until)
    select id, queue_id, ticket, attempt, {{run}},
        created_at, queued_at, wait_until
    from released
), reopened as (
    update heads h set departed = departed - r.n, passed = least(passed, r.first - 1)
    from (select queue_id, count(*) as n, min(ticket) as first from released group by queue_id) r
    where h.queue_id = r.queue_id
)
update queues q set busy = true where id in (select queue_id from released)
