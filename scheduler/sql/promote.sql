-- Puts executions whose pause is over at the ends of their queues, with new tickets. Run under the locks of their
-- queues, in a statement after the one that took them.
--
-- @ids   the executions
with due as (
    delete from delayed where id = any(@ids::uuid[]) and retry_at <= clock_timestamp() returning *
), entered as (
    insert into waiting (id, queue_id, ticket, attempt, {{run}},
        created_at, queued_at, wait_until)
    select d.id, d.queue_id, nextval('tickets'), d.attempt, {{d.run}},
        d.created_at, d.at, d.at + d.max_wait
    from (
        select due.*, clock_timestamp() as at,
            (select min(max_wait) from gates where scope in ('', due.pack, due.action)) as max_wait
        from due order by retry_at
    ) d
    returning queue_id
)
update queues q set entered = q.entered + e.n, busy = true
from (select queue_id, count(*) as n from entered group by queue_id) e
where q.id = e.queue_id
