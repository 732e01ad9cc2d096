-- What may happen without anybody's doing: the seconds until a pause ends, a wait has been too long or the window of a rate
-- limit opens (null when there is nothing of the kind), and whether a limit stands above single queues.
select extract(epoch from min(at) - clock_timestamp())::float8, exists (select from gates where layered)
from (
    select min(retry_at) as at from delayed
    union all
    select min(wait_until) from waiting where wait_until is not null
    union all
    select min(s.at + g.rate_window) from gates g
    join starts s on s.gate_id = g.id and s.number = g.started - g.rate_limit + 1
    where g.rate_limit is not null and s.at + g.rate_window > clock_timestamp()
) times
