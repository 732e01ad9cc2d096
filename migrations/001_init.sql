-- Packs that are known. A pack has a version and an image once an installation of it has succeeded.
create table packs (
    ref          text primary key check (ref ~ '^[a-z][a-z0-9_-]{0,62}$'),
    label        text not null default '',
    description  text not null default '',
    author       text not null default '',
    tags         text[] not null default '{}',
    version      text not null default '',
    image_digest text not null default '',
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    check ((version = '') = (image_digest = ''))
);

-- Every attempt to turn an archive into an image. The manifest is kept here, immutable, so that an execution runs the
-- action as it stood when it was submitted, whatever was installed since. Documents of other people are json, never
-- jsonb: their members keep their order, and an escaped NUL in an exception's text is not refused.
create table installations (
    id             uuid primary key,
    pack           text not null references packs on delete cascade,
    version        text not null,
    archive_sha256 text not null check (archive_sha256 ~ '^[0-9a-f]{64}$'),
    manifest       json not null,
    status         text not null default 'pending' check (status in ('pending', 'installing', 'installed', 'failed')),
    phase          text not null default 'queued',
    error          text not null default '',
    image_digest   text not null default '',
    worker         text not null default '',
    created_at     timestamptz not null default now(),
    started_at     timestamptz,
    finished_at    timestamptz,
    check ((status in ('installed', 'failed')) = (finished_at is not null)),
    check ((status = 'installed') = (image_digest <> '')),
    check ((status = 'pending') = (worker = ''))
);
create index installations_by_pack on installations (pack, created_at desc, id desc);
-- One installation of a pack is built at a time, so that "the newest" is never decided by who finishes last.
create unique index installations_one_installing on installations (pack) where status = 'installing';
create index installations_pending on installations (created_at) where status = 'pending';

-- The actions of the versions that serve now.
create table actions (
    id              uuid primary key,
    ref             text not null unique,
    pack            text not null references packs on delete cascade,
    installation_id uuid not null references installations on delete cascade,
    spec            json not null,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now()
);
create index actions_by_pack on actions (pack);

-- One row for each line that executions wait in: an action, and later the values of its concurrency key.
-- The id is half of an advisory lock's key, hence an integer.
create table queues (
    id                integer generated always as identity primary key,
    action            text not null,
    key               text not null default '',
    concurrency_limit integer check (concurrency_limit >= 1),
    unique (action, key)
);

-- Tickets are drawn under the queue's advisory lock, which is held to commit: within a queue their order is commit order.
create sequence tickets;

create table executions (
    id              uuid primary key,
    queue_id        integer not null references queues,
    ticket          bigint not null unique,
    action          text not null,
    pack            text not null,
    pack_version    text not null,
    installation_id uuid not null,
    image_digest    text not null,
    status          text not null default 'queued' check (status in (
        'queued', 'scheduled', 'running', 'canceling',
        'completed', 'failed', 'timeout', 'cancelled', 'abandoned', 'rejected')),
    reason          text not null default '',
    attempt         integer not null default 1 check (attempt >= 1),
    parameters      json not null,
    result          json,
    failure         json,
    exit_code       integer,
    worker          text not null default '',
    created_at      timestamptz not null default clock_timestamp(),
    scheduled_at    timestamptz,
    started_at      timestamptz,
    finished_at     timestamptz,
    check ((finished_at is not null) = (status in ('completed', 'failed', 'timeout', 'cancelled', 'abandoned', 'rejected'))),
    check ((status = 'queued') <= (worker = '')),
    check ((status in ('scheduled', 'running', 'canceling')) <= (worker <> '' and scheduled_at is not null)),
    check ((status in ('running', 'canceling', 'completed')) <= (started_at is not null)),
    check (octet_length(result::text) <= 1048576)
);
-- The line itself, the slots that are taken, and what a worker holds: all small, whatever the history grows to.
create index executions_waiting on executions (queue_id, ticket) where status = 'queued';
create index executions_slots on executions (queue_id) where status in ('scheduled', 'running', 'canceling');
create index executions_by_worker on executions (worker) where status in ('scheduled', 'running', 'canceling');
-- Listings, newest first.
create index executions_newest on executions (created_at desc, id desc);
create index executions_by_action on executions (action, created_at desc, id desc);
create index executions_by_pack on executions (pack, created_at desc, id desc);

create table workers (
    name             text primary key,
    capacity         integer not null check (capacity >= 1),
    started_at       timestamptz not null default now(),
    lease_expires_at timestamptz not null
);

-- Sealed before they reach SQL: a failed statement can put what it was given into the server's log.
create table secrets (
    name       text not null check (name ~ '^[A-Za-z_][A-Za-z0-9_]{0,127}$'),
    pack       text not null default '',
    action     text not null default '',
    sealed     bytea not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (name, pack, action),
    check (pack = '' or action = '')
);

create table tokens (
    id           uuid primary key,
    name         text not null,
    prefix       text not null unique,
    sha256       bytea not null check (octet_length(sha256) = 32),
    role         text not null check (role in ('admin', 'operator', 'viewer')),
    packs        text[] not null default '{}',
    created_at   timestamptz not null default now(),
    expires_at   timestamptz,
    last_used_at timestamptz
);

-- One sealed text that everybody knows: whoever comes with another key finds out at its start, and not at the first secret.
create table key_check (
    id     boolean primary key default true check (id),
    sealed bytea not null
);
