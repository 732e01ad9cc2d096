-- Moves claims from scheduled to running; those that are not the worker's any more do not come back. It may be repeated.
--
-- $1 worker, $2 slot numbers, $3 claims
update slots s set status = 'running', started_at = coalesce(s.started_at, clock_timestamp())
from unnest($2::integer[], $3::bigint[]) o(number, claim)
where s.worker = $1 and s.number = o.number and s.claim = o.claim and s.status in ('scheduled', 'running')
returning s.claim
