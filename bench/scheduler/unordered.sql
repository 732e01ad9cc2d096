-- Takes the place of scheduler/sql/admit.sql and admit_plain.sql, and writes what they write, for an admission that knows no
-- order and no limit: the first rows that nobody has locked.
--
-- $1 worker, $2 its life, $3 the most to give, $4 a number of which nobody has the like, $5 whether they begin at once
with places as materialized (
    select array_agg(s.ctid) as rows, count(*) as n
    from slots s
    where s.worker = $1 and s.status = 'free' and s.number <= (
        select capacity from workers where name = $1 and life = $2
            and lease_expires_at > clock_timestamp() and lease_expires_at < clock_timestamp() + interval '60 seconds')
), found as materialized (
    select ctid as row from waiting where wait_until is null or wait_until > clock_timestamp()
    limit least($3, (select n from places)) for update skip locked
), taken as (
    delete from waiting where ctid = any(array(select row from found)) returning *
), given as (
    update slots s set status = case when $5 then 'running' else 'scheduled' end, claim = $4 + t.turn, id = t.id, queue_id = t.queue_id,
        queue_key = '', ticket = t.ticket, attempt = t.attempt, action = t.action, pack = t.pack, pack_version = t.pack_version,
        installation_id = t.installation_id, image_digest = t.image_digest, parameters = t.parameters, created_at = t.created_at,
        queued_at = t.queued_at, wait_until = t.wait_until, scheduled_at = clock_timestamp(),
        started_at = case when $5 then clock_timestamp() end, stop_reason = ''
    from (select *, row_number() over () as turn from taken) t
    where s.ctid = (select rows from places)[t.turn]
    returning s.number, s.claim, s.ticket, s.id, s.attempt, s.action, s.pack, s.pack_version, s.installation_id, s.image_digest,
        s.parameters, s.created_at
)
select number, claim, ticket, id, attempt, action, pack, pack_version, installation_id, image_digest, parameters, created_at,
    null::bigint as left_behind
from given
union all
-- Where as many were found as were wanted, there may be more.
select 0, 0, 0, null, 0, '', '', '', null, '', '{}', clock_timestamp(), (select count(*) / $3 from found)
