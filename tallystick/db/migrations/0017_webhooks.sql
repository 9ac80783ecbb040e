-- Webhooks: where partners want to hear what happened, what is still to be sent there, and every attempt that was made.
-- depends: 0016_integrations

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: tenant
-- How far the events of a tenant were handed out to its endpoints. A tenant without endpoints has no row.
create table webhook_heads (
    tenant_id uuid not null,
    position bigint not null,
    primary key (tenant_id)
) with (fillfactor = 50);

-- class: tenant
-- An address where a partner hears of events behind `since_position`, of these topics ({*}: all), merchants and places (null: all of
-- them). `merchant_limit` is the limit of the credential that made it. It is pending until a signed ping was answered well.
-- `failing_since` is when it began to fail without a success between; `warned` is the share of the patience at which its partner
-- was told last, in percent. `version` counts its events.
create table webhooks (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    client_id uuid not null,
    merchant_limit uuid[],
    url text not null check (url <> ''),
    description text not null,
    topics text[] not null check (cardinality(topics) > 0),
    merchant_ids uuid[],
    location_ids uuid[],
    payload_version text not null check (payload_version <> ''),
    headers_sealed bytea,
    rate_per_minute integer check (rate_per_minute > 0),
    fifo boolean not null,
    status text not null check (status in ('pending', 'enabled', 'disabled', 'deleted')),
    reason text check (reason in ('asked', 'gone', 'receiver', 'failures')),
    since_position bigint not null,
    failing_since timestamptz,
    failed_at timestamptz,
    succeeded_at timestamptz,
    warned smallint not null default 0,
    version integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    check ((reason is not null) = (status = 'disabled'))
) with (fillfactor = 70);
create index webhooks_of_partner on webhooks (tenant_id, partner_id, created_at desc, id desc);

-- class: tenant
-- What an endpoint's deliveries are signed with: both keys sealed. The newest has no end; those before it sign, too, until theirs.
create table webhook_secrets (
    tenant_id uuid not null,
    webhook_id uuid not null,
    id uuid not null,
    symmetric_sealed bytea not null,
    private_sealed bytea not null,
    public_key bytea not null,
    created_at timestamptz not null,
    ends_at timestamptz,
    primary key (tenant_id, webhook_id, id)
);

-- class: tenant
-- One event for one endpoint, once for ever: whatever is tried again or replayed is this row again, so that nothing is sent twice at
-- once. While pending it is due at `due_at`; who takes it moves that to the end of a lease, which `lease` names. `recorded_at` says
-- in which partition the event lies. What an endpoint did not want while it was off is skipped.
create table webhook_deliveries (
    tenant_id uuid not null,
    webhook_id uuid not null,
    position bigint not null,
    event_id uuid not null,
    recorded_at timestamptz not null,
    topic text not null,
    subject_id uuid not null,
    fifo boolean not null,
    status text not null check (status in ('pending', 'delivered', 'failed', 'skipped')),
    attempts integer not null default 0,
    tries integer not null default 0,
    replayed boolean not null default false,
    due_at timestamptz not null,
    lease uuid,
    concluded_at timestamptz,
    primary key (tenant_id, webhook_id, position)
);
create index webhook_deliveries_due on webhook_deliveries (tenant_id, webhook_id, due_at, position) where status = 'pending';
create index webhook_deliveries_in_order on webhook_deliveries (tenant_id, webhook_id, subject_id, position)
where status = 'pending' and fifo;
create index webhook_deliveries_recorded on webhook_deliveries using brin (recorded_at) with (pages_per_range = 32, autosummarize = on);

-- class: tenant
-- Every attempt: when, how long it took, what was answered (the beginning of it, sealed), or why there was no answer.
create table webhook_attempts (
    tenant_id uuid not null,
    webhook_id uuid not null,
    position bigint not null,
    id uuid not null,
    number integer not null,
    at timestamptz not null,
    milliseconds integer not null,
    status_code smallint,
    fault text,
    answer_sealed bytea,
    replayed boolean not null,
    primary key (tenant_id, webhook_id, position, id)
);
create index webhook_attempts_made on webhook_attempts using brin (at) with (pages_per_range = 32, autosummarize = on);

-- class: tenant
-- A wish to send again: events from `from_position` to `to_position`, of these topics (null: the endpoint's own), all of them or only
-- what never arrived. `done_position` is how far it is.
create table webhook_replays (
    tenant_id uuid not null,
    id uuid not null,
    webhook_id uuid not null,
    partner_id uuid not null,
    topics text[],
    only_missing boolean not null,
    from_position bigint not null,
    to_position bigint not null,
    done_position bigint not null,
    matched bigint not null default 0,
    status text not null check (status in ('running', 'completed', 'cancelled')),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id)
);
create index webhook_replays_listed on webhook_replays (tenant_id, webhook_id, created_at desc, id desc);
create index webhook_replays_due on webhook_replays (tenant_id, id) where status = 'running';

do $$
declare
    guarded text;
begin
    foreach guarded in array array[
        'webhook_heads', 'webhooks', 'webhook_secrets', 'webhook_deliveries', 'webhook_attempts', 'webhook_replays'
    ] loop
        execute format('alter table %I enable row level security', guarded);
        execute format('alter table %I force row level security', guarded);
        execute format(
            'create policy own_tenant on %I to tallystick_app using (tenant_id = '
            '(select nullif(current_setting(''tallystick.tenant'', true), '''')::uuid))', guarded
        );
        execute format('create policy auditor_reads on %I for select to tallystick_auditor using (true)', guarded);
    end loop;
end
$$;
grant select, insert, update on webhook_heads, webhooks, webhook_replays to tallystick_app;
-- What is old is deleted, a batch at a time; what was an endpoint's, when it is gone.
grant select, insert, update, delete on webhook_deliveries, webhook_attempts, webhook_secrets to tallystick_app;
grant delete on webhooks, webhook_replays to tallystick_app;
grant select on webhook_heads, webhooks, webhook_secrets, webhook_deliveries, webhook_attempts, webhook_replays
to tallystick_auditor;

-- migrate: rollback
