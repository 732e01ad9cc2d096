-- Says in how many seconds time alone lets something happen: a pause ends, a wait has been too long or the window of a rate
-- limit opens; null when there is nothing of the kind.
select extract(epoch from min(at) - clock_timestamp())::float8
from (
    select min(retry_at) as at from delayed
    union all
    select min(wait_until) from waiting where wait_until is not null
    union all
    select min(s.at + g.rate_window) from gates g
    join starts s on s.gate_id = g.id and s.number = g.started - g.rate_limit + 1
    where g.rate_limit is not null and s.at + g.rate_window > clock_timestamp()
) times
