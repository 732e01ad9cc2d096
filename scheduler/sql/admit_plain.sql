-- Does what admit.sql does where no limit stands above single queues, in a plan that takes a quarter of the time to set up.
-- Where there is such a limit it gives nothing, so that it may be tried without knowing. Arguments as for admit.sql.
with clock as materialized (select clock_timestamp() as now)
, taken as materialized (
    select queue_id, count(*)::integer as slots from slots where status <> 'free' group by queue_id
)
-- the queues where executions wait, and the room that each has
, busy as materialized (
    select q.id, q.key, h.passed,
        least(@most, coalesce(g.queue_limit, g.concurrency_limit) - coalesce(t.slots, 0)) as room
    from queues q
    join heads h on h.queue_id = q.id
    left join gates g on g.scope = q.action
    left join taken t on t.queue_id = q.id
    where q.busy and q.entered > h.departed
)
-- the head of each queue that has room
, front as materialized (
    select q.id, q.room, head.ticket
    from busy q
    cross join lateral (
        select w.ticket from waiting w
        where w.queue_id = q.id and w.ticket > q.passed
            and (w.wait_until is null or w.wait_until > (select now from clock))
        order by w.ticket limit 1
    ) head
    where q.room > 0 and not exists (select from gates where layered)
)
-- As many heads as there are to give have tickets up to this one: so has everything that is chosen.
, reach as materialized (
    select coalesce((select ticket from front order by ticket offset @most - 1 limit 1), 9223372036854775807) as ticket
)
-- of each queue as many as could go if it were alone, and of all those the oldest tickets
, chosen as materialized (
    select array(
        select next.row
        from front f
        join reach r on f.ticket <= r.ticket
        cross join lateral (
            select w.ctid as row, w.ticket from waiting w
            where w.queue_id = f.id and w.ticket >= f.ticket and w.ticket <= r.ticket
                and (w.wait_until is null or w.wait_until > (select now from clock))
            order by w.ticket limit f.room
        ) next
        order by next.ticket limit @most) as rows
)
{{slot}}
select {{claim}} from given
