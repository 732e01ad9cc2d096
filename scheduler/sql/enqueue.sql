-- Puts submissions at the ends of their queues. Run under the locks of all these queues, in a statement after the one
-- that took them: tickets drawn here are in commit order within each queue.
--
-- One row of the arrays is one submission. It is left out when its installation does not serve any more, its action
-- has another concurrency key, its queue is gone, or, unless @checked, a policy has more to say than "stand at the
-- end".
--
-- @queues, @installations   of each submission its queue and its installation
-- @keys, @parameters        the names of its concurrency key, and its parameters
-- @checked                  whether policies have been asked
with given as materialized (
    select * from unnest(@queues::integer[], @installations::uuid[], @keys::text[], @parameters::text[]) with ordinality
        as g(queue_id, installation_id, key, parameters, turn)
), targets as materialized (
    select q.id as queue_id, a.ref as action, a.pack, i.id as installation_id, i.version, i.image_digest, g.max_wait,
        coalesce((select array_to_string(concurrency_key, chr(31)) from gates where scope = a.ref), '') as key
    from (select distinct queue_id from given) d
    join queues q on q.id = d.queue_id
    join actions a on a.ref = q.action
    join installations i on i.id = a.installation_id
    cross join lateral (
        select min(max_wait) as max_wait, coalesce(bool_or(checks_submission), false) as checks
        from gates where scope in ('', a.pack, a.ref)
    ) g
    where @checked or not g.checks
)
-- the submissions that can go, each with its ticket, drawn in the order in which they were given
, ready as materialized (
    select o.*, uuid_v7(o.at) as id, nextval('tickets') as ticket, o.at + o.max_wait as wait_until
    from (
        select g.turn, g.parameters, t.*, clock_timestamp() as at,
            row_number() over (partition by g.queue_id order by g.turn) as rank
        from given g
        join targets t on t.queue_id = g.queue_id and t.installation_id = g.installation_id and t.key = g.key
        order by g.turn
    ) o
), entered as (
    insert into waiting (id, queue_id, ticket, {{run}},
        created_at, queued_at, wait_until)
    select id, queue_id, ticket, action, pack, version, installation_id, image_digest, parameters::json,
        at, at, wait_until
    from ready
), counted as (
    update queues q set entered = q.entered + r.n, busy = true
    from (select queue_id, count(*) as n from ready group by queue_id) r
    where q.id = r.queue_id
    returning q.id, q.entered - r.n as before
)
select r.turn, r.id::text, r.version, r.image_digest, r.at, c.before - h.departed + r.rank as position,
    r.wait_until is not null as may_expire
from ready r
join counted c on c.id = r.queue_id
join heads h on h.queue_id = r.queue_id
