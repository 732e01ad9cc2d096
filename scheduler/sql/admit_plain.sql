-- Does what admit.sql does where no limit stands above the queues, in a plan that takes a quarter of the time to set up. Where
-- there is such a limit it gives nothing, so that it may be tried without knowing.
--
-- $1 worker, $2 its life, $3 the most to give, $4 a number of which nobody has the like, see Claim.Number,
-- $5 whether they begin at once
with taken as materialized (
    select queue_id, count(*)::integer as slots from slots where status <> 'free' group by queue_id
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
-- The heads of each, at first no more than its share of what is given: to look at all who might go would take longer than to
-- move those who do.
, first_look as materialized (
    select l.id as line, l.room, share.n as share, head.row, head.ticket
    from lines l
    cross join (select $3 / greatest(1, count(*)) + 2 as n from lines) share
    cross join lateral (
        select w.ctid as row, w.ticket from waiting w
        where w.queue_id = l.id and w.ticket > l.passed and (w.wait_until is null or w.wait_until > clock_timestamp())
        order by w.ticket limit greatest(0, least(l.room, share.n))
    ) head
    where not exists (select from gates where layered)
)
-- The ticket that the last to be chosen has at most, and the lines that were not looked at to their end.
, reach as materialized (
    select coalesce((select ticket from first_look order by ticket offset $3 - 1 limit 1), 9223372036854775807) as ticket
), short as materialized (
    select line, room, share, max(ticket) as last from first_look
    group by line, room, share having count(*) = share and share < room
)
-- Where such a line may have more that are as old, they are looked at, too: so the oldest tickets of all are among these.
, candidates as (
    select row, ticket from first_look
    union all
    select more.row, more.ticket
    from short s
    cross join reach r
    cross join lateral (
        select w.ctid as row, w.ticket from waiting w
        where w.queue_id = s.line and w.ticket > s.last and w.ticket <= r.ticket
            and (w.wait_until is null or w.wait_until > clock_timestamp())
        order by w.ticket limit least(s.room, $3) - s.share
    ) more
    where s.last < r.ticket
), chosen as materialized (
    select array(select row from candidates order by ticket limit $3) as rows
)
-- where they go: nowhere when another process has the worker's name or its lease has run out
, places as materialized (
    select array(select s.ctid from slots s
        where s.worker = $1 and s.status = 'free' and s.number <= (
            select capacity from workers where name = $1 and life = $2
                and lease_expires_at > clock_timestamp() and lease_expires_at < clock_timestamp() + interval '60 seconds')
        limit (select cardinality(rows) from chosen)) as rows
)
-- The move itself, and the numbers that go with it. Rows are found by their addresses, all with one look: a join would be a
-- look for each.
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
), raised as (
    update workers set used = g.last from (select max(number) as last from given) g where name = $1 and used < g.last
)
-- and how many are left behind
select number, claim, ticket, id, attempt, action, pack, pack_version, installation_id, image_digest, parameters, created_at,
    null::bigint as left_behind
from given
union all
select 0, 0, 0, null, 0, '', '', '', null, '', '{}', clock_timestamp(),
    (select coalesce(sum(waits), 0) from lines) - (select count(*) from given)
