-- Says how many executions still wait after an admission, and whether a limit stands above single queues.
select coalesce(sum(q.entered - h.departed), 0), exists (select from gates where layered)
from queues q join heads h on h.queue_id = q.id
where q.busy
