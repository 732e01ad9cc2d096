-- The slots that the chosen executions get: none when another process has the worker's name or its lease has run out.
, vacant as materialized (
    select array(select s.ctid from slots s
        where s.worker = @worker and s.status = 'free' and s.number <= (
            select capacity from workers where name = @worker and life = @life
                and lease_expires_at > clock_timestamp() and lease_expires_at < clock_timestamp() + interval '60 seconds')
        limit (select cardinality(rows) from chosen)) as rows
)
-- The move itself. Rows are found by their addresses, all with one look: a join would look for each of them.
, moved as (
    delete from waiting
    where ctid = any((select c.rows[:cardinality(v.rows)] from chosen c, vacant v)::tid[]) returning *
), counted as (
    update heads h set departed = departed + m.n, passed = m.last
    from (select queue_id, count(*) as n, max(ticket) as last from moved group by queue_id) m
    where h.queue_id = m.queue_id
), given as (
    update slots s set status = 'scheduled', claim = @number + m.turn, id = m.id, queue_id = m.queue_id,
        queue_key = m.key, ticket = m.ticket, attempt = m.attempt, action = m.action, pack = m.pack,
        pack_version = m.pack_version, installation_id = m.installation_id, image_digest = m.image_digest,
        parameters = m.parameters, created_at = m.created_at, queued_at = m.queued_at, wait_until = m.wait_until,
        scheduled_at = (select now from clock), started_at = null, stop_reason = ''
    from (select m.*, q.key, row_number() over () as turn from moved m join busy q on q.id = m.queue_id) m
    where s.ctid = (select rows from vacant)[m.turn]
    returning s.*
)
