-- Says of claims that their code has begun. A claim that is not the worker's any more, or is to be stopped, stays as it is.
--
-- @worker   the worker
-- @slots, @claims, @ages   of each claim its slot, its number, and how many seconds ago it began
update slots s set status = 'running', started_at = greatest(s.scheduled_at, clock_timestamp() - o.age * interval '1 second')
from unnest(@slots::integer[], @claims::bigint[], @ages::float8[]) o(number, claim, age)
where s.worker = @worker and s.number = o.number and s.claim = o.claim and s.status = 'scheduled'
