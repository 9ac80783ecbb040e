-- What moved, what happened, who asked, who was told.
-- depends: 0001_parties

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: tenant
-- An account's balance is its credits less its debits, in minor units; floor and ceiling bound it at every version.
-- An account with a lot class is a lot: value with a class, an expiry and a funder, whose parent is a wallet or a card.
create table accounts (
    tenant_id uuid not null,
    id uuid not null,
    merchant_id uuid not null,
    currency char(3) not null,
    code text not null,
    owner_id uuid not null,
    parent_id uuid,
    lot_class text check (lot_class in ('paid', 'promotional', 'compensation', 'refund')),
    funder_id uuid,
    expires_at timestamptz,
    floor bigint,
    ceiling bigint,
    balance bigint not null default 0,
    held bigint not null default 0 check (held >= 0),
    version bigint not null default 0,
    last_at timestamptz not null,
    opened_at timestamptz not null,
    primary key (tenant_id, id),
    check (floor is null or balance - held >= floor),
    check (ceiling is null or balance <= ceiling)
) with (fillfactor = 80);
create index accounts_by_parent on accounts (tenant_id, parent_id) where parent_id is not null;

create table journals (
    tenant_id uuid not null,
    id uuid not null,
    merchant_id uuid not null,
    currency char(3) not null,
    kind text not null,
    cause_id uuid not null,
    reverses_id uuid,
    at timestamptz not null,
    recorded_at timestamptz not null,
    primary key (tenant_id, id)
);

-- Both halves of every transfer. (account, version) is the key: no lost update, a gapless proof, an exact order.
create table entries (
    tenant_id uuid not null,
    account_id uuid not null,
    version bigint not null,
    journal_id uuid not null,
    leg smallint not null,
    counterpart_id uuid not null,
    amount bigint not null check (amount <> 0),
    balance_after bigint not null,
    at timestamptz not null,
    primary key (tenant_id, account_id, version)
);

-- A hold reserves part of one account. It resolves at most once: the resolution's key is the hold.
create table holds (
    tenant_id uuid not null,
    id uuid not null,
    account_id uuid not null,
    amount bigint not null check (amount > 0),
    cause_id uuid not null,
    at timestamptz not null,
    expires_at timestamptz,
    primary key (tenant_id, id)
);
create index holds_of_account on holds (tenant_id, account_id);
create index holds_by_expiry on holds (tenant_id, expires_at) where expires_at is not null;

create table hold_resolutions (
    tenant_id uuid not null,
    hold_id uuid not null,
    kind text not null check (kind in ('captured', 'released', 'expired')),
    captured bigint not null check (captured >= 0),
    journal_id uuid,
    at timestamptz not null,
    primary key (tenant_id, hold_id)
);

-- What happened, numbered in commit order. `position` is gapless for a tenant, `sequence` for a subject.
create table events (
    tenant_id uuid not null,
    position bigint not null,
    recorded_at timestamptz not null,
    id uuid not null,
    topic text not null,
    subject_type text not null,
    subject_id uuid not null,
    sequence integer not null,
    partner_id uuid,
    merchant_id uuid,
    request_id uuid,
    at timestamptz not null,
    document json not null,
    primary key (tenant_id, position, recorded_at)
) partition by range (recorded_at);
create index events_about on events (tenant_id, subject_id, sequence);
-- Events of a day, and one by the instant that its id names: ranges of blocks, since what is appended lies in the order of time.
create index events_recorded on events using brin (recorded_at) with (pages_per_range = 32, autosummarize = on);
create table events_default partition of events default;

-- Every request of a known caller; columns are an allow-list, there is no place for a body, a phone or a secret.
create table request_log (
    tenant_id uuid not null,
    at timestamptz not null,
    id uuid not null,
    partner_id uuid not null,
    client_id uuid not null,
    method text not null,
    route text not null,
    status smallint not null,
    code text,
    resource_id uuid,
    replayed boolean not null default false,
    latency_us integer,
    primary key (tenant_id, at, id)
) partition by range (at);
create table request_log_default partition of request_log default;

-- Messages to people: one-time codes and claim notices. Their content is sealed, under the reader's own key where there is one, and
-- forgotten once it was sent. A message that is due at no time lies in its tenant's mailbox.
create table messages (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    recipient_id uuid not null,
    channel text not null check (channel in ('email', 'sms')),
    kind text not null,
    sealed_under text not null check (sealed_under in ('house', 'recipient')),
    content_sealed bytea,
    created_at timestamptz not null,
    due_at timestamptz,
    attempts integer not null default 0,
    sent_at timestamptz,
    failed_at timestamptz,
    primary key (tenant_id, id)
);
create index messages_due on messages (channel, due_at)
where due_at is not null and sent_at is null and failed_at is null;
create index messages_by_time on messages (tenant_id, created_at desc, id desc);

-- class: local
create table unknown_requests (
    at timestamptz not null,
    id uuid not null,
    method text not null,
    route text not null,
    status smallint not null,
    code text,
    latency_us integer,
    primary key (at, id)
) partition by range (at);
create table unknown_requests_default partition of unknown_requests default;

-- When each process of background work was last seen; /readyz reads it.
create table heartbeats (
    name text primary key,
    at timestamptz not null
) with (fillfactor = 20);

-- migrate: rollback
