-- Ends executions that pause between two attempts.
--
-- $1 status, $2 reason, $3 ids
with gone as (
    delete from delayed where id = any($3::uuid[]) returning *
)
insert into finished (id, queue_key, attempt, {{run}},
    status, reason, created_at, finished_at)
select g.id, q.key, g.attempt, {{g.run}},
    $1, $2, g.created_at, clock_timestamp()
from gone g join queues q on q.id = g.queue_id
returning id::text
