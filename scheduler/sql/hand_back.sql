-- Returns to their places what was given to workers and has not begun. Tickets stay, and with them the places. Run under the
-- admission lock, so that an admission whose answer was lost has committed or failed.
--
-- $1 a worker, all of whose claims but $2 go back, and with $3 also those that began with their admission in its present life,
-- which it knows that it never heard of; or null, then those of all workers whose lease has run out
with back as (
    update slots s set status = 'free'
    where (s.status = 'scheduled' or $3 and s.status = 'running'
        and s.scheduled_at >= (select started_at from workers where name = s.worker)) and case
        when $1::text is not null then s.worker = $1 and s.claim <> all ($2::bigint[])
        else not exists (select from workers w where w.name = s.worker and w.lease_expires_at > clock_timestamp()
            and w.lease_expires_at < clock_timestamp() + interval '60 seconds') end
    returning s.*
), returned as (
    insert into waiting (id, queue_id, ticket, attempt, {{run}},
        created_at, queued_at, wait_until)
    select id, queue_id, ticket, attempt, {{run}},
        created_at, queued_at, wait_until
    from back
), reopened as (
    update heads h set departed = departed - b.n, passed = least(passed, b.first - 1)
    from (select queue_id, count(*) as n, min(ticket) as first from back group by queue_id) b
    where h.queue_id = b.queue_id
)
update queues q set busy = true where id in (select queue_id from back)
