-- Stored value and what gives it: wallets and rewards.
-- depends: 0002_books

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: tenant
create table wallets (
    tenant_id uuid not null,
    id uuid not null,
    customer_id uuid not null,
    merchant_id uuid not null,
    partner_id uuid not null,
    currency char(3) not null,
    status text not null check (status in ('pending', 'active', 'suspended', 'closing', 'closed')),
    owed_account_id uuid,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id)
);
create index wallets_of_customer on wallets (tenant_id, customer_id, merchant_id);

create table rewards (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    merchant_id uuid not null,
    recipient_id uuid not null,
    batch_id uuid,
    kind text not null check (kind in ('immediate', 'preIssued')),
    status text not null check (status in ('Credited', 'Created', 'Claimed', 'Expired', 'Cancelled')),
    amount bigint not null check (amount > 0),
    reversed_amount bigint not null default 0 check (reversed_amount between 0 and amount),
    currency char(3) not null,
    wallet_id uuid,
    funding_account_id uuid not null,
    value_account_id uuid not null,
    claim_expires_at timestamptz,
    reason_code text,
    cost_center text,
    private_sealed bytea,
    answer_sealed bytea not null,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    check ((wallet_id is not null) = (status in ('Credited', 'Claimed'))),
    check ((claim_expires_at is not null) = (kind = 'preIssued'))
) with (fillfactor = 90);
create index rewards_of_recipient on rewards (tenant_id, recipient_id, created_at desc, id desc);
-- Of use only to whoever asks for a deadline: a query by recipient must never walk all that waits.
create index rewards_by_deadline on rewards (tenant_id, claim_expires_at)
where status = 'Created' and claim_expires_at is not null;
create index rewards_waiting on rewards (tenant_id, recipient_id) where status = 'Created';
create index rewards_of_batch on rewards (tenant_id, batch_id) where batch_id is not null;

create table reward_batches (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    client_id uuid not null,
    merchant_id uuid not null,
    request_id uuid not null,
    status text not null check (status in ('accepted', 'running', 'completed', 'revoking', 'revoked')),
    total integer not null,
    done integer not null default 0,
    succeeded integer not null default 0,
    failed integer not null default 0,
    revoked integer not null default 0,
    due_at timestamptz,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id)
);
create index reward_batches_due on reward_batches (due_at) where due_at is not null;
create index reward_batches_of_partner on reward_batches (tenant_id, partner_id, created_at desc, id desc);

-- One line of a batch: its command sealed until it has run, then its reward or its refusal.
create table reward_batch_items (
    tenant_id uuid not null,
    batch_id uuid not null,
    line integer not null,
    command_sealed bytea,
    reward_id uuid,
    error json,
    primary key (tenant_id, batch_id, line)
);

-- Row-level security is the second wall behind the tenant_id that every statement names: a session sees one tenant, the one
-- its transaction entered. The auditor reads across tenants and writes nothing.
do $$
declare
    guarded text;
begin
    foreach guarded in array array[
        'tenant_heads', 'idempotency_keys', 'merchants', 'recipients', 'customers', 'phone_codes', 'accounts', 'journals',
        'entries', 'holds', 'hold_resolutions', 'events', 'request_log', 'messages', 'wallets', 'rewards', 'reward_batches',
        'reward_batch_items'
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

grant select on all tables in schema public to tallystick_app, tallystick_auditor;
grant insert, update on
    programmes, tenants, partners, agreements, clients, client_secrets, access_tokens, rate_limits, tenant_heads,
    merchants, recipients, customers, phone_codes, accounts, messages, wallets, rewards, reward_batches, reward_batch_items
    to tallystick_app;
-- A key is claimed, then perhaps given its answer or, when the request is refused, taken back.
grant insert, update, delete on idempotency_keys to tallystick_app;
grant delete on access_tokens, rate_limits, heartbeats to tallystick_app;
-- A refused request leaves nobody behind who was only named in it.
grant delete on recipients to tallystick_app;
grant insert, update on heartbeats to tallystick_app;
-- The books and the record of what happened only grow.
grant insert on journals, entries, holds, hold_resolutions, events, request_log, unknown_requests to tallystick_app;

-- migrate: rollback
