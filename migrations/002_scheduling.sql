-- An execution stands in exactly one place: it waits in its queue (waiting), pauses between two attempts (delayed), holds a
-- slot (slots), or is over (finished). A move is one statement that takes it from one table and puts it into another, so
-- the tables that are read all the time stay as small as the work at hand, whatever the history grows to.
-- docs/scheduling.md has the argument for the locks, docs/state_machine.md the states.

alter table executions rename to executions_before;
alter sequence tickets owned by none;

-- Policies as they were set. The operator's stands in front of the pack's.
create table policies (
    scope      text not null, -- '' for all, a pack's ref, or an action's
    origin     text not null check (origin in ('pack', 'operator')),
    policy     json not null,
    updated_at timestamptz not null default now(),
    primary key (scope, origin)
);

-- What is in force of them, in the form that admission and submission read: one row for each scope with a policy.
create table gates (
    id                integer generated always as identity primary key,
    scope             text not null unique,
    concurrency_limit integer check (concurrency_limit >= 1),
    queue_limit       integer check (queue_limit >= 1), -- of each queue of an action with a key
    concurrency_key   text[] not null default '{}',
    method            text not null default 'enqueue' check (method in ('enqueue', 'cancel_oldest', 'reject')),
    rate_limit        integer check (rate_limit >= 1),
    rate_window       interval check (rate_window > interval '0'),
    started           bigint not null default 0, -- the number of the last start; see starts
    quota_limit       integer check (quota_limit >= 1),
    quota_seconds     integer check (quota_seconds >= 1),
    quota_period      bigint not null default 0, -- periods are counted from 1970-01-01
    quota_used        integer not null default 0,
    max_waiting       integer check (max_waiting >= 1),
    max_wait          interval check (max_wait > interval '0'),
    -- A submission has more to do than to stand at the end.
    checks_submission boolean generated always as
        (method <> 'enqueue' or quota_limit is not null or max_waiting is not null) stored,
    -- It bounds more than single queues, or more than how many hold a slot.
    layered           boolean generated always as (rate_limit is not null
        or (concurrency_limit is not null and (queue_limit is not null or position('.' in scope) = 0))) stored,
    check ((rate_limit is null) = (rate_window is null)),
    check ((quota_limit is null) = (quota_seconds is null))
) with (fillfactor = 50);

create index gates_rated on gates (id) where rate_limit is not null;
create index gates_layered on gates (id) where layered;

-- The starts that a rate limit still has to know of: the last rate_limit of them. Their numbers have no gaps, so that "the
-- one that lies rate_limit starts back" is a look at one row.
create table starts (
    gate_id integer not null references gates on delete cascade,
    number  bigint not null,
    at      timestamptz not null,
    primary key (gate_id, number)
);

alter table queues
    drop column concurrency_limit,
    add column pack text not null default '',
    -- How many have ever entered the line; whoever holds the queue's lock counts.
    add column entered bigint not null default 0,
    -- False only when nobody waits; true may be late in becoming false.
    add column busy boolean not null default false;
alter table queues set (fillfactor = 50);
update queues set pack = split_part(action, '.', 1);
create index queues_busy on queues (id) where busy;

-- The other end of each line, apart from it so that those who enter and those who leave do not wait for each other's
-- commits. Whoever holds the admission lock counts.
create table heads (
    queue_id integer primary key references queues on delete cascade,
    -- How many have left the line, in whatever way: entered minus departed wait.
    departed bigint not null default 0,
    -- All tickets up to this one have left, so the search for the head need not step over them.
    passed   bigint not null default 0
) with (fillfactor = 50);
insert into heads (queue_id) select id from queues;

-- A UUID of version 7 (RFC 9562, method 3 for the 12 bits below the millisecond): ids sort by time, and history is
-- partitioned by them.
create function uuid_v7(at timestamptz) returns uuid language sql volatile parallel safe as $$
    select (lpad(to_hex((extract(epoch from at) * 1000000)::bigint / 1000), 12, '0')
        || '7' || lpad(to_hex((extract(epoch from at) * 1000000)::bigint % 1000 * 4096 / 1000), 3, '0')
        || substr(replace(gen_random_uuid()::text, '-', ''), 17))::uuid
$$;

-- The least id of an instant.
create function uuid_floor(at timestamptz) returns uuid language sql stable parallel safe as $$
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

create table waiting (
    id              uuid primary key,
    queue_id        integer not null,
    ticket          bigint not null,
    attempt         integer not null default 1 check (attempt >= 1),
    action          text not null,
    pack            text not null,
    pack_version    text not null,
    installation_id uuid not null,
    image_digest    text not null,
    parameters      json not null,
    created_at      timestamptz not null,
    queued_at       timestamptz not null, -- later than created_at for a retry
    wait_until      timestamptz,
    unique (queue_id, ticket)
);
create index waiting_until on waiting (wait_until) where wait_until is not null;

create table delayed (
    id              uuid primary key,
    queue_id        integer not null,
    attempt         integer not null check (attempt >= 2),
    action          text not null,
    pack            text not null,
    pack_version    text not null,
    installation_id uuid not null,
    image_digest    text not null,
    parameters      json not null,
    created_at      timestamptz not null,
    retry_at        timestamptz not null
);
create index delayed_until on delayed (retry_at);

-- The places of each worker, as many as its capacity. They are used again and again, and no index has a column that
-- changes: the table stays as small as the workers are, and a look at all of it tells what is taken.
create table slots (
    worker          text not null,
    number          integer not null check (number >= 1),
    status          text not null default 'free' check (status in ('free', 'scheduled', 'running', 'canceling')),
    claim           bigint not null default 0, -- of each taking another, so that whoever lost it cannot write
    id              uuid,
    queue_id        integer,
    queue_key       text not null default '', -- the queue's, so that an end need not look it up while queues change
    ticket          bigint,
    attempt         integer,
    action          text,
    pack            text,
    pack_version    text,
    installation_id uuid,
    image_digest    text,
    parameters      json,
    created_at      timestamptz,
    queued_at       timestamptz,
    wait_until      timestamptz,
    scheduled_at    timestamptz,
    started_at      timestamptz,
    stop_reason     text not null default '', -- why it is canceling; empty before
    primary key (worker, number),
    -- What a free slot had is left as it was: freeing is then a small change, and whoever frees reads it from the same row.
    check (status = 'free' or num_nulls(queue_id, ticket, attempt, action, pack, pack_version, installation_id,
        image_digest, parameters, created_at, queued_at, scheduled_at) = 0),
    check (status = 'free' or (status in ('running', 'canceling')) = (started_at is not null)),
    check (status = 'free' or (status = 'canceling') = (stop_reason <> ''))
) with (fillfactor = 40);

create table finished (
    id              uuid primary key,
    queue_key       text not null,
    attempt         integer not null,
    action          text not null,
    pack            text not null,
    pack_version    text not null,
    installation_id uuid not null,
    image_digest    text not null,
    parameters      json not null,
    status          text not null check (status in ('completed', 'failed', 'timeout', 'cancelled', 'abandoned', 'rejected')),
    reason          text not null default '',
    exit_code       integer,
    result          json check (octet_length(result::text) <= 1048576),
    failure         json,
    worker          text not null default '',
    created_at      timestamptz not null,
    scheduled_at    timestamptz,
    started_at      timestamptz,
    finished_at     timestamptz not null,
    check ((status = 'completed') <= (started_at is not null))
) partition by range (id);
create index finished_by_action on finished (action, id);
create index finished_by_pack on finished (pack, id);
create table finished_default partition of finished default;

-- Attempts that failed and were tried again.
create table attempts (
    execution_id uuid not null,
    attempt      integer not null,
    status       text not null,
    reason       text not null,
    exit_code    integer,
    failure      json,
    worker       text not null,
    scheduled_at timestamptz not null,
    started_at   timestamptz,
    finished_at  timestamptz not null,
    primary key (execution_id, attempt)
) partition by range (execution_id);
create table attempts_default partition of attempts default;

-- One partition a day, by the time of submission; dropping one cleans up a day.
create function ensure_history(day date) returns void language plpgsql as $$
declare
    midnight timestamptz := day::timestamp at time zone 'UTC';
    parent text;
begin
    foreach parent in array array['finished', 'attempts'] loop
        execute format('create table if not exists %I partition of %I for values from (%L) to (%L)',
            parent || '_' || to_char(day, 'YYYYMMDD'), parent, uuid_floor(midnight), uuid_floor(midnight + interval '1 day'));
    end loop;
end
$$;

-- Everything as one, for those who look.
create view executions as
    select w.id, w.queue_id, w.ticket, q.key as queue_key, w.attempt, w.action, w.pack, w.pack_version, w.installation_id,
        w.image_digest, w.parameters, 'queued' as status, '' as reason, null::integer as exit_code, null::json as result,
        null::json as failure, '' as worker, w.created_at, null::timestamptz as scheduled_at,
        null::timestamptz as started_at, null::timestamptz as finished_at, null::timestamptz as retry_at
    from waiting w join queues q on q.id = w.queue_id
union all
    select d.id, d.queue_id, null, q.key, d.attempt, d.action, d.pack, d.pack_version, d.installation_id,
        d.image_digest, d.parameters, 'queued', '', null, null,
        null, '', d.created_at, null,
        null, null, d.retry_at
    from delayed d join queues q on q.id = d.queue_id
union all
    select s.id, s.queue_id, s.ticket, q.key, s.attempt, s.action, s.pack, s.pack_version, s.installation_id,
        s.image_digest, s.parameters, s.status, '', null, null,
        null, s.worker, s.created_at, s.scheduled_at,
        s.started_at, null, null
    from slots s join queues q on q.id = s.queue_id
    where s.status <> 'free'
union all
    select f.id, null, null, f.queue_key, f.attempt, f.action, f.pack, f.pack_version, f.installation_id,
        f.image_digest, f.parameters, f.status, f.reason, f.exit_code, f.result,
        f.failure, f.worker, f.created_at, f.scheduled_at,
        f.started_at, f.finished_at, null
    from finished f;

alter table workers
    add column labels json not null default '{}',
    -- Of each life its own: a process that is not the last one under its name cannot take anything.
    add column life uuid;

-- Submissions that may be repeated, for 24 hours.
create table idempotency_keys (
    token      text not null,
    key        text not null,
    digest     bytea not null check (octet_length(digest) = 32),
    executions uuid[] not null,
    created_at timestamptz not null default now(),
    primary key (token, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);

-- What was there before moves to its place.
select ensure_history(day) from (
    select distinct (created_at at time zone 'UTC')::date as day from executions_before
    union select (now() at time zone 'UTC')::date + n from generate_series(-1, 2) n) days;
insert into finished (id, queue_key, attempt, action, pack, pack_version, installation_id, image_digest, parameters, status,
    reason, exit_code, result, failure, worker, created_at, scheduled_at, started_at, finished_at)
select e.id, '', attempt, action, pack, pack_version, installation_id, image_digest, parameters, status,
    reason, exit_code, result, failure, worker, created_at, scheduled_at, started_at, finished_at
from executions_before e where finished_at is not null;
insert into waiting (id, queue_id, ticket, action, pack, pack_version, installation_id, image_digest, parameters, created_at,
    queued_at)
select id, queue_id, ticket, action, pack, pack_version, installation_id, image_digest, parameters, created_at, created_at
from executions_before where status = 'queued';
insert into slots (worker, number, status, claim, id, queue_id, ticket, attempt, action, pack, pack_version, installation_id,
    image_digest, parameters, created_at, queued_at, scheduled_at, started_at)
select worker, row_number() over (partition by worker order by ticket), status, ticket, id, queue_id, ticket, attempt,
    action, pack, pack_version, installation_id, image_digest, parameters, created_at, created_at, scheduled_at, started_at
from executions_before where status in ('scheduled', 'running', 'canceling');
update queues q set entered = w.n, busy = true
from (select queue_id, count(*) as n from waiting group by queue_id) w where w.queue_id = q.id;
insert into policies (scope, origin, policy)
select ref, 'pack', spec -> 'policy' from actions where spec -> 'policy' ->> 'concurrency' is not null;
insert into gates (scope, concurrency_limit)
select ref, (spec -> 'policy' -> 'concurrency' ->> 'limit')::integer from actions
where spec -> 'policy' ->> 'concurrency' is not null;
drop table executions_before;
