-- Does what admit_plain.sql does where few are expected to wait: it looks at all who might go, and only at those slots that may
-- be taken, not at all that there are. It gives no place that would raise workers.used, see 005_used.sql. So it may give less,
-- and to look again with another statement is right whenever it leaves somebody behind.
--
-- $1 worker, $2 its life, $3 the most to give, $4 a number of which nobody has the like, see Claim.Number,
-- $5 whether they begin at once
with taken as materialized (
    select s.queue_id, count(*)::integer as slots
    from workers w
    -- "offset 0" has it look worker by worker, with the index, which must not depend on what the planner believes of them.
    cross join lateral (
        select queue_id from slots where worker = w.name and number <= w.used and status <> 'free' offset 0
    ) s
    group by s.queue_id
)
-- the queues where somebody waits, and the room that each has
, lines as materialized (
    select q.id, q.key, h.passed, q.entered - h.departed as waits,
        least($3, coalesce(g.queue_limit, g.concurrency_limit) - coalesce(t.slots, 0)) as room
    from queues q
    join heads h on h.queue_id = q.id
    left join gates g on g.scope = q.action
    left join taken t on t.queue_id = q.id
    where q.busy and q.entered > h.departed
)
-- as many of each line as could go if it were alone, and of all those the oldest tickets
, chosen as materialized (
    select array(
        select head.row
        from lines l
        cross join lateral (
            select w.ctid as row, w.ticket from waiting w
            where w.queue_id = l.id and w.ticket > l.passed and (w.wait_until is null or w.wait_until > clock_timestamp())
            order by w.ticket limit greatest(0, l.room)
        ) head
        where not exists (select from gates where layered)
        order by head.ticket limit $3) as rows
)
-- where they go: nowhere when another process has the worker's name or its lease has run out
, places as materialized (
    select array(select s.ctid from slots s
        where s.worker = $1 and s.status = 'free' and s.number <= (
            select least(capacity, used) from workers where name = $1 and life = $2
                and lease_expires_at > clock_timestamp() and lease_expires_at < clock_timestamp() + interval '60 seconds')
        limit (select cardinality(rows) from chosen)) as rows
)
-- the move itself, and the numbers that go with it, as in admit_plain.sql
, left_line as (
    delete from waiting where ctid = any((select c.rows[:cardinality(p.rows)] from chosen c, places p)::tid[]) returning *
), counted as (
    update heads h set departed = departed + l.n, passed = l.last
    from (select queue_id, count(*) as n, max(ticket) as last from left_line group by queue_id) l
    where h.queue_id = l.queue_id
), given as (
    update slots s set status = case when $5 then 'running' else 'scheduled' end, claim = $4 + l.turn, id = l.id, queue_id = l.queue_id, queue_key = l.key, ticket = l.ticket,
        attempt = l.attempt, action = l.action, pack = l.pack, pack_version = l.pack_version, installation_id = l.installation_id,
        image_digest = l.image_digest, parameters = l.parameters, created_at = l.created_at, queued_at = l.queued_at,
        wait_until = l.wait_until, scheduled_at = clock_timestamp(), started_at = case when $5 then clock_timestamp() end, stop_reason = ''
    from (select l.*, q.key, row_number() over () as turn from left_line l join lines q on q.id = l.queue_id) l
    where s.ctid = (select rows from places)[l.turn]
    returning s.number, s.claim, s.ticket, s.id, s.attempt, s.action, s.pack, s.pack_version, s.installation_id, s.image_digest,
        s.parameters, s.created_at
)
-- and how many are left behind
select number, claim, ticket, id, attempt, action, pack, pack_version, installation_id, image_digest, parameters, created_at,
    null::bigint as left_behind
from given
union all
select 0, 0, 0, null, 0, '', '', '', null, '', '{}', clock_timestamp(),
    (select coalesce(sum(waits), 0) from lines) - (select count(*) from given)
