-- Ends executions and frees their slots. Asked to stop, an execution ends as cancelled whatever its action made of it, unless
-- its outcome cannot be known. A claim whose slot is not its own any more changes nothing: the first end counts.
--
-- @worker             the worker
-- @slots, @claims     of each claim its slot and its number
-- @ages               how many seconds ago its code began, null when it did not begin; a start that is recorded counts
-- @statuses, @reasons, @codes, @results, @failures, @usages, @outputs   its outcome
with ended as (
    update slots s set status = 'free'
    from unnest(@slots::integer[], @claims::bigint[], @ages::float8[], @statuses::text[], @reasons::text[],
            @codes::integer[], @results::text[], @failures::text[], @usages::text[], @outputs::text[])
        as o(number, claim, age, status, reason, exit_code, result, failure, usage, outputs)
    where s.worker = @worker and s.number = o.number and s.claim = o.claim and s.status <> 'free'
    returning s.claim, s.id, s.queue_key, s.attempt, {{s.run}}, s.worker, s.created_at, s.scheduled_at, s.stop_reason,
        case when o.age is not null or s.started_at is not null then coalesce(s.started_at,
            greatest(s.scheduled_at, clock_timestamp() - o.age * interval '1 second')) end as started_at,
        o.exit_code, o.result, o.failure, o.usage, o.outputs, o.status as outcome, o.reason,
        s.stop_reason <> '' and o.status <> 'abandoned' as stopped
), noted as (
    insert into finished (id, queue_key, attempt, {{run}},
        status, reason, exit_code, result, failure, usage, outputs, worker, created_at, scheduled_at, started_at, finished_at)
    select e.id, e.queue_key, e.attempt, {{e.run}},
        case when e.stopped then 'cancelled' else e.outcome end, case when e.stopped then e.stop_reason else e.reason end,
        e.exit_code, e.result::json, e.failure::json, e.usage::json, e.outputs::json, e.worker, e.created_at,
        e.scheduled_at, e.started_at, clock_timestamp()
    from ended e
)
select claim from ended
