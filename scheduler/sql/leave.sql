-- Ends executions that wait. Run under the admission lock: nothing else takes them out of their queues.
--
-- @ids              the executions, or null for those that have waited longer than they may
-- @status, @reason  their end
with gone as (
    delete from waiting
    where case when @ids::uuid[] is not null then id = any(@ids) else wait_until <= clock_timestamp() end
    returning *
), counted as (
    update heads h set departed = departed + g.n
    from (select queue_id, count(*) as n from gone group by queue_id) g
    where h.queue_id = g.queue_id
)
insert into finished (id, queue_key, attempt, {{run}},
    status, reason, created_at, finished_at)
select g.id, q.key, g.attempt, {{g.run}},
    @status, @reason, g.created_at, clock_timestamp()
from gone g join queues q on q.id = g.queue_id
returning id::text
