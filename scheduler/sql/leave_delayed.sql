-- Ends executions that pause between two attempts.
--
-- @ids              the executions
-- @status, @reason  their end
with gone as (
    delete from delayed where id = any(@ids::uuid[]) returning *
)
insert into finished (id, queue_key, attempt, {{run}},
    status, reason, created_at, finished_at)
select g.id, q.key, g.attempt, {{g.run}},
    @status, @reason, g.created_at, clock_timestamp()
from gone g join queues q on q.id = g.queue_id
returning id::text
