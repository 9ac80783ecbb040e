-- On what terms a partner may act: its quotas and who operates the house.
-- depends: 0006_payments

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: directory -- looked up before a tenant is known
-- Who operates the house over /admin/v1. A secret is kept as its keyed hash; its last characters tell which it is.
create table operators (
    id uuid primary key,
    name text not null check (name <> ''),
    email text,
    digest bytea not null unique,
    tail text not null,
    status text not null default 'active' check (status in ('active', 'revoked')),
    created_at timestamptz not null,
    revoked_at timestamptz
);

-- class: tenant
-- Who has agreed on quotas at all, and the last version. Its row is the lock of whoever changes the terms, and of those who come near
-- a limit: they wait for one another here, and never on the count itself.
create table agreement_heads (
    tenant_id uuid not null,
    partner_id uuid not null,
    version integer not null check (version >= 0),
    primary key (tenant_id, partner_id)
) with (fillfactor = 50);

-- One version of a partner's terms: it replaces the one before it from its instant on. Rows are never changed.
create table agreement_terms (
    tenant_id uuid not null,
    partner_id uuid not null,
    version integer not null check (version > 0),
    id uuid not null,
    effective_from timestamptz not null,
    created_by uuid,
    created_at timestamptz not null,
    primary key (tenant_id, partner_id, version)
);

-- How much of a metric a period includes, and what becomes of more: refused (block), charged up to a cap (allow), told (notify).
-- A value is counted in minor units of its currency, everything else by number. What is charged is `unit_price` minor units of
-- `price_currency` for every `per` units beyond.
create table quota_lines (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    version integer not null,
    metric text not null check (metric in ('giftCards.count', 'giftCards.value', 'rewards.value', 'transactions.count')),
    currency char(3),
    period text not null check (period in ('day', 'week', 'month', 'quarter', 'year')),
    time_zone text not null,
    included bigint not null check (included >= 0),
    beyond text not null check (beyond in ('block', 'allow', 'notify')),
    cap bigint,
    unit_price bigint check (unit_price >= 0),
    per bigint check (per > 0),
    price_currency char(3),
    primary key (tenant_id, partner_id, version, id),
    check ((currency is not null) = (metric in ('giftCards.value', 'rewards.value'))),
    check (cap is null or (beyond = 'allow' and cap > included)),
    check ((beyond = 'allow') = (unit_price is not null)),
    check ((beyond = 'allow') = (per is not null)),
    check ((beyond = 'allow') = (price_currency is not null))
);

-- What is used of a metric in one period. `included` and `most` are those by which it was counted last. `tell_at` is set while
-- something has to be told. Nothing that a count changes stands in an index, so that a count is a change in place.
create table quota_usage (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    line_id uuid not null,
    metric text not null,
    currency char(3),
    period text not null,
    time_zone text not null,
    period_start timestamptz not null,
    period_end timestamptz not null,
    included bigint not null,
    most bigint not null,
    used bigint not null check (used >= 0),
    refused bigint not null check (refused >= 0),
    tell_at timestamptz,
    warned_80_at timestamptz,
    warned_100_at timestamptz,
    exceeded_at timestamptz,
    version integer not null default 0,
    primary key (tenant_id, id),
    check (period_start < period_end)
) with (fillfactor = 20);
create index quota_usage_of_partner on quota_usage (tenant_id, partner_id, period_end);
create index quota_usage_to_tell on quota_usage (tenant_id, tell_at) where tell_at is not null;

do $$
declare
    guarded text;
begin
    foreach guarded in array array['agreement_heads', 'agreement_terms', 'quota_lines', 'quota_usage'] loop
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
grant select on operators, agreement_heads, agreement_terms, quota_lines, quota_usage to tallystick_app, tallystick_auditor;
grant insert, update on operators, agreement_heads, quota_usage to tallystick_app;
-- Terms that were agreed stay as they were; new ones are a new version.
grant insert on agreement_terms, quota_lines to tallystick_app;

-- migrate: rollback
