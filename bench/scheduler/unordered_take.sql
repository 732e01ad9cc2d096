-- Takes the first executions that nobody has locked, without order and limits, and writes what an admission writes.
--
-- $1 worker, $2 the most to take, $3 the first claim's number
with vacant as materialized (
    select array(select ctid from slots where worker = $1 and status = 'free' limit $2) as rows
), found as materialized (
    select ctid as row from waiting where wait_until is null or wait_until > clock_timestamp()
    limit (select cardinality(rows) from vacant) for update skip locked
), moved as (
    delete from waiting where ctid = any(array(select row from found)) returning *
), given as (
    update slots s set status = 'scheduled', claim = $3 + m.turn, id = m.id, queue_id = m.queue_id, queue_key = '',
        ticket = m.ticket, attempt = m.attempt, action = m.action, pack = m.pack, pack_version = m.pack_version,
        installation_id = m.installation_id, image_digest = m.image_digest, parameters = m.parameters,
        created_at = m.created_at, queued_at = m.queued_at, wait_until = m.wait_until, scheduled_at = clock_timestamp(),
        started_at = null, stop_reason = ''
    from (select *, row_number() over () as turn from moved) m
    where s.ctid = (select rows from vacant)[m.turn]
    returning s.number, s.claim, s.id, s.parameters
)
select * from given
