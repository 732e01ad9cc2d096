-- Ends executions and frees their slots. Asked to stop, an execution ends as cancelled whatever its action made of it, unless
-- its outcome cannot be known. A claim whose slot is not its own any more changes nothing: the first end counts.
--
-- $1 worker, $2 slot numbers, $3 claims, $4 statuses, $5 reasons, $6 exit codes, $7 results, $8 failures, $9 usages,
-- $10 outputs
with ended as (
    update slots s set status = 'free'
    from unnest($2::integer[], $3::bigint[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::text[],
            $9::text[], $10::text[])
        as o(number, claim, status, reason, exit_code, result, failure, usage, outputs)
    where s.worker = $1 and s.number = o.number and s.claim = o.claim and s.status <> 'free'
    returning s.claim, s.id, s.queue_key, s.attempt, {{s.run}}, s.worker, s.created_at, s.scheduled_at, s.started_at, s.stop_reason,
        o.exit_code, o.result, o.failure, o.usage, o.outputs, o.status as outcome, o.reason,
        s.stop_reason <> '' and o.status <> 'abandoned' as stopped
), noted as (
    insert into finished (id, queue_key, attempt, {{run}},
        status, reason, exit_code, result, failure, usage, outputs, worker, created_at, scheduled_at, started_at, finished_at)
    select e.id, e.queue_key, e.attempt, {{e.run}},
        case when e.stopped then 'cancelled' else e.outcome end, case when e.stopped then e.stop_reason else e.reason end,
        e.exit_code, e.result::json, e.failure::json, e.usage::json, e.outputs::json, e.worker, e.created_at, e.scheduled_at, e.started_at,
        clock_timestamp()
    from ended e
)
select claim from ended
