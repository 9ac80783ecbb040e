-- Who calls, where value is spent, whose it is.
-- depends:

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- Named roles belong to the whole server: another database of it may have made them already.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['tallystick_app', 'tallystick_auditor'] loop
        if not exists (select 1 from pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception when duplicate_object or unique_violation then
                null;  -- another migrator of this server was faster
            end;
        end if;
        -- Since PostgreSQL 16 a role may be a member of another without the right to take its place.
        if not pg_has_role(
            current_user, wanted, case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end
        ) then
            execute format('grant %I to %I', wanted, current_user);
        end if;
    end loop;
end
$$;

grant usage on schema public to tallystick_app, tallystick_auditor;

-- class: directory -- looked up before a tenant is known
create table programmes (
    id uuid primary key,
    name text not null check (name <> ''),
    created_at timestamptz not null
);

-- What shows that a master key is the one the database was made with, and nothing of the key itself.
-- class: directory -- of the house itself
create table master_keys (
    version integer primary key,
    proof bytea not null
);
grant select, insert on master_keys to tallystick_app;

-- A tenant is a programme in one environment: the owner of one set of books.
create table tenants (
    id uuid primary key,
    programme_id uuid not null references programmes (id),
    environment text not null check (environment in ('sandbox', 'production')),
    clock_offset interval not null default interval '0',
    created_at timestamptz not null,
    unique (programme_id, environment),
    check (environment = 'sandbox' or clock_offset = interval '0'),
    check (clock_offset >= interval '0')
);

create table partners (
    id uuid primary key,
    name text not null check (name <> ''),
    status text not null default 'active' check (status in ('active', 'suspended')),
    created_at timestamptz not null
);

-- A partner comes to a programme by agreement; `visibility` says whether it sees only what it made.
create table agreements (
    id uuid primary key,
    partner_id uuid not null references partners (id),
    programme_id uuid not null references programmes (id),
    visibility text not null default 'own' check (visibility in ('own', 'programme')),
    status text not null default 'active' check (status in ('active', 'ended')),
    created_at timestamptz not null,
    unique (partner_id, programme_id)
);

create table clients (
    id uuid primary key,
    tenant_id uuid not null references tenants (id),
    agreement_id uuid not null references agreements (id),
    name text not null check (name <> ''),
    scopes text[] not null,
    merchant_ids uuid[],
    rate_per_minute integer not null check (rate_per_minute > 0),
    rate_burst integer not null check (rate_burst > 0),
    status text not null default 'active' check (status in ('active', 'revoked')),
    created_at timestamptz not null,
    revoked_at timestamptz
);

create table client_secrets (
    id uuid primary key,
    client_id uuid not null references clients (id),
    digest bytea not null unique,
    tail text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_on date
);
create index client_secrets_of_client on client_secrets (client_id);

create table access_tokens (
    digest bytea primary key,
    client_id uuid not null references clients (id),
    secret_id uuid not null references client_secrets (id),
    scopes text[] not null,
    issued_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz
);
create index access_tokens_by_expiry on access_tokens (expires_at);

-- How far each client is in its rate limit: the theoretical arrival time that all processes share.
create table rate_limits (
    client_id uuid primary key,
    arrival_at timestamptz not null
) with (fillfactor = 50);

-- class: tenant
create table tenant_heads (
    tenant_id uuid primary key,
    position bigint not null default 0
) with (fillfactor = 10);

create table idempotency_keys (
    tenant_id uuid not null,
    partner_id uuid not null,
    operation text not null,
    key text not null,
    fingerprint bytea not null,
    resource_id uuid not null,
    status smallint not null,
    answer_sealed bytea,
    created_at timestamptz not null,
    primary key (tenant_id, partner_id, operation, key)
);

create table merchants (
    tenant_id uuid not null,
    id uuid not null,
    name text not null check (name <> ''),
    currency char(3) not null,
    country char(2) not null,
    time_zone text not null,
    status text not null default 'active' check (status in ('active', 'closed')),
    claim_days integer not null default 90 check (claim_days between 1 and 3650),
    pre_issuing boolean not null default true,
    stacking boolean not null default false,
    funding_mode text not null default 'invoiced' check (funding_mode in ('invoiced', 'prefunded')),
    reward_maximum bigint check (reward_maximum > 0),
    phone_day_maximum bigint check (phone_day_maximum > 0),
    receivable_account_id uuid not null,
    prefund_account_id uuid not null,
    cash_account_id uuid not null,
    created_at timestamptz not null,
    primary key (tenant_id, id)
);

-- A recipient is a person known by a phone number, before and after they are a customer. Its row is the lock that issuing,
-- opening, closing and claiming share; its wrapped key seals everything personal, so that destroying the key erases the person.
create table recipients (
    tenant_id uuid not null,
    phone_index bytea not null,
    id uuid not null,
    key_wrapped bytea not null,
    phone_sealed bytea not null,
    created_at timestamptz not null,
    primary key (tenant_id, phone_index)
);
create unique index recipients_by_id on recipients (tenant_id, id);

create table customers (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    recipient_id uuid,
    phone_verified_at timestamptz,
    key_wrapped bytea not null,
    personal_sealed bytea,
    external_id text,
    member_code text not null,
    status text not null default 'active' check (status in ('active', 'merged', 'erased')),
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id)
);
create index customers_by_recipient on customers (tenant_id, recipient_id);
create unique index customers_by_external_id on customers (tenant_id, partner_id, external_id) where external_id is not null;
create unique index customers_by_member_code on customers (tenant_id, member_code);

-- One-time codes by which a holder proves a phone is theirs.
create table phone_codes (
    tenant_id uuid not null,
    id uuid not null,
    customer_id uuid not null,
    recipient_id uuid not null,
    digest bytea not null,
    tries integer not null default 0,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    primary key (tenant_id, id)
);
create index phone_codes_of_customer on phone_codes (tenant_id, customer_id, created_at desc);
create index phone_codes_of_recipient on phone_codes (tenant_id, recipient_id, created_at desc);

-- migrate: rollback
