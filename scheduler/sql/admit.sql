-- Gives free places of one worker to the executions whose turn it is. Run under the admission lock, in a statement after the
-- one that took it, so that this snapshot shows every slot that was given before.
--
-- $1 worker, $2 its life, $3 the most to give, $4 a number of which nobody has the like, see Claim.Number,
-- $5 whether they begin at once
-- one instant for everything below
with clock as materialized (select clock_timestamp() as now)
-- what holds slots now, counted by looking: a count cannot drift
, taken as materialized (
    select queue_id, action, pack, count(*)::integer as slots from slots where status <> 'free' group by queue_id, action, pack
), taken_by_scope as materialized (
    select s.scope, sum(t.slots)::integer as slots
    from taken t cross join lateral (values (t.action), (t.pack), ('')) s(scope) group by s.scope
)
-- the queues where somebody waits, and the room that each has of its own
, lines as materialized (
    select q.id, q.action, q.pack, h.passed, q.entered - h.departed as waits, least($3, g.queue_limit - coalesce(t.slots, 0)) as room
    from queues q
    join heads h on h.queue_id = q.id
    left join gates g on g.scope = q.action
    left join taken t on t.queue_id = q.id
    where q.busy and q.entered > h.departed
)
-- the room behind each gate above them; of a rate limit r, start number n must lie a window after number n - r
, rooms as materialized (
    select g.scope, least($3, g.concurrency_limit - coalesce(t.slots, 0), case when g.rate_limit is not null then
        least($3, g.rate_limit) - (select count(*)::integer from starts s, clock where s.gate_id = g.id
            and s.number > g.started - g.rate_limit and s.number <= g.started - g.rate_limit + $3
            and s.at > clock.now - g.rate_window) end) as room
    from (select action as scope from lines union select pack from lines union select '') scopes
    join gates g using (scope)
    left join taken_by_scope t using (scope)
)
-- as many of each line as could go if it were alone
, candidates as (
    select l.action, l.pack, head.id, head.ticket, a.room as action_room, p.room as pack_room
    from lines l
    left join rooms a on a.scope = l.action
    left join rooms p on p.scope = l.pack
    left join rooms g on g.scope = ''
    cross join lateral (
        select w.id, w.ticket from waiting w
        where w.queue_id = l.id and w.ticket > l.passed and (w.wait_until is null or w.wait_until > (select now from clock))
        order by w.ticket limit greatest(0, least(l.room, a.room, p.room, g.room))
    ) head
)
-- The scopes are nested, so that taking the oldest tickets scope by scope, from the inside out, chooses the same as going
-- through all of them in order and turning away whom a gate has no room for. A gate that closes on one execution closes on
-- all behind it in its line.
, within_action as (
    select *, row_number() over (partition by action order by ticket) as rank from candidates
), within_pack as (
    select *, row_number() over (partition by pack order by ticket) as pack_rank from within_action
    where action_room is null or rank <= action_room
), chosen as materialized (
    select id, row_number() over (order by ticket) as turn from within_pack
    where pack_room is null or pack_rank <= pack_room
    order by ticket limit greatest(0, least($3, (select room from rooms where scope = '')))
)
-- where they go: nowhere when another process has the worker's name or its lease has run out
, places as materialized (
    select s.number, row_number() over (order by s.number) as turn
    from slots s
    where s.worker = $1 and s.status = 'free' and s.number <= (
        select capacity from workers where name = $1 and life = $2
            and lease_expires_at > clock_timestamp() and lease_expires_at < clock_timestamp() + interval '60 seconds')
    order by s.number limit (select count(*) from chosen)
)
-- the move itself, and the numbers that go with it
, left_line as (
    delete from waiting w using chosen c join places p using (turn) where w.id = c.id returning w.*, p.number as slot, c.turn
), counted as (
    update heads h set departed = departed + l.n, passed = l.last
    from (select queue_id, count(*) as n, max(ticket) as last from left_line group by queue_id) l
    where h.queue_id = l.queue_id
), rates as materialized (
    select id, scope, started from gates where rate_limit is not null
), rated as (
    select r.id, r.started + row_number() over (partition by r.id order by l.ticket) as number
    from rates r join left_line l on r.scope in ('', l.pack, l.action)
), noted as (
    insert into starts (gate_id, number, at) select rated.id, rated.number, clock.now from rated, clock
), numbered as (
    update gates g set started = r.last from (select id, max(number) as last from rated group by id) r where g.id = r.id
), given as (
    update slots s set status = case when $5 then 'running' else 'scheduled' end, claim = $4 + l.turn, id = l.id, queue_id = l.queue_id, queue_key = q.key, ticket = l.ticket,
        attempt = l.attempt, action = l.action, pack = l.pack, pack_version = l.pack_version, installation_id = l.installation_id,
        image_digest = l.image_digest, parameters = l.parameters, created_at = l.created_at, queued_at = l.queued_at,
        wait_until = l.wait_until, scheduled_at = clock.now, started_at = case when $5 then clock_timestamp() end, stop_reason = ''
    from left_line l join queues q on q.id = l.queue_id, clock
    where s.worker = $1 and s.number = l.slot
    returning s.*
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
