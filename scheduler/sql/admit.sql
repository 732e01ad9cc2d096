-- Gives free slots of one worker to the executions whose turn it is. Run under the admission lock, in a statement after the
-- one that took it, so that its snapshot shows every slot that was given before.
--
-- @worker, @life  the worker and its life
-- @most           the most to give
-- @number         a number that no other admission has, see Claim.Number

-- one instant for everything below
with clock as materialized (select clock_timestamp() as now)
-- the slots that are taken now, counted by looking: such a count cannot drift
, taken as materialized (
    select queue_id, action, pack, count(*)::integer as slots
    from slots where status <> 'free' group by queue_id, action, pack
), taken_by_scope as materialized (
    select s.scope, sum(t.slots)::integer as slots
    from taken t cross join lateral (values (t.action), (t.pack), ('')) s(scope) group by s.scope
)
-- the queues where executions wait, and the room that each has of its own
, busy as materialized (
    select q.id, q.key, q.action, q.pack, h.passed, least(@most, g.queue_limit - coalesce(t.slots, 0)) as room
    from queues q
    join heads h on h.queue_id = q.id
    left join gates g on g.scope = q.action
    left join taken t on t.queue_id = q.id
    where q.busy and q.entered > h.departed
)
-- the room behind each gate above them; of a rate limit r, start number n must lie a window after number n - r
, rooms as materialized (
    select g.scope, least(@most, g.concurrency_limit - coalesce(t.slots, 0), case when g.rate_limit is not null then
        least(@most, g.rate_limit) - (select count(*)::integer from starts s, clock where s.gate_id = g.id
            and s.number > g.started - g.rate_limit and s.number <= g.started - g.rate_limit + @most
            and s.at > clock.now - g.rate_window) end) as room
    from (select action as scope from busy union select pack from busy union select '') scopes
    join gates g using (scope)
    left join taken_by_scope t using (scope)
)
-- of each queue as many as could go if it were alone
, candidates as (
    select q.action, q.pack, head.row, head.ticket, a.room as action_room, p.room as pack_room
    from busy q
    left join rooms a on a.scope = q.action
    left join rooms p on p.scope = q.pack
    left join rooms g on g.scope = ''
    cross join lateral (
        select w.ctid as row, w.ticket from waiting w
        where w.queue_id = q.id and w.ticket > q.passed
            and (w.wait_until is null or w.wait_until > (select now from clock))
        order by w.ticket limit greatest(0, least(q.room, a.room, p.room, g.room))
    ) head
)
-- The scopes are nested, so that taking the oldest tickets scope by scope, from the inside out, chooses the same as going
-- through all of them in order and turning away those that a gate has no room for. A gate that closes on one execution
-- closes on all behind it in its queue.
, within_action as (
    select *, row_number() over (partition by action order by ticket) as rank from candidates
), within_pack as (
    select *, row_number() over (partition by pack order by ticket) as pack_rank from within_action
    where action_room is null or rank <= action_room
), chosen as materialized (
    select array(
        select row from within_pack where pack_room is null or pack_rank <= pack_room
        order by ticket limit greatest(0, least(@most, (select room from rooms where scope = '')))) as rows
)
{{slot}}
-- every start behind a rate limit has a number
, rates as materialized (
    select id, scope, started from gates where rate_limit is not null
), rated as (
    select r.id, r.started + row_number() over (partition by r.id order by m.ticket) as number
    from rates r join moved m on r.scope in ('', m.pack, m.action)
), noted as (
    insert into starts (gate_id, number, at) select rated.id, rated.number, clock.now from rated, clock
), numbered as (
    update gates g set started = r.last
    from (select id, max(number) as last from rated group by id) r where g.id = r.id
)
select {{claim}} from given
