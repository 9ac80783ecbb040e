-- Reports, and periods of the books that close.
-- depends: 0007_governance

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: tenant
-- Until when the books of a merchant are closed: nothing is dated before that. Posters probe it by its key and never lock it.
create table book_closings (
    tenant_id uuid not null,
    merchant_id uuid not null,
    closed_until timestamptz not null,
    primary key (tenant_id, merchant_id)
) with (fillfactor = 50);

-- A stretch of a merchant's books, its end not included. While it is closing: first nothing (`fenced_at` null), then the fence stands
-- in `book_closings` and whatever began before `cut` (a transaction id) is waited for, then its figures are sealed. `sums` are the
-- amounts by code, class of lot, kind of journal and sign; `digest` covers every entry; `sealed_at` is real time, all else the tenant's.
create table periods (
    tenant_id uuid not null,
    merchant_id uuid not null,
    number integer not null check (number > 0),
    id uuid not null,
    currency char(3) not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    status text not null check (status in ('closing', 'closed')),
    partner_id uuid not null,
    closed_by uuid not null,
    request_id uuid not null,
    due_at timestamptz,
    fenced_at timestamptz,
    cut bigint,
    entries bigint check (entries >= 0),
    sums jsonb,
    digest bytea,
    sealed_at timestamptz,
    closed_at timestamptz,
    created_at timestamptz not null,
    primary key (tenant_id, merchant_id, number),
    check (starts_at < ends_at),
    check ((due_at is null) = (status = 'closed')),
    check (
        status = 'closing'
        or fenced_at is not null and entries is not null and sums is not null and digest is not null and sealed_at is not null
        and closed_at is not null
    )
);
create unique index periods_by_id on periods (tenant_id, id);
create index periods_due on periods (tenant_id, due_at) where due_at is not null;

-- Which share of the paid value that a merchant sells is expected never to be redeemed, and why; the last one set holds.
create table breakage_terms (
    tenant_id uuid not null,
    merchant_id uuid not null,
    effective_from timestamptz not null,
    rate_basis_points integer not null check (rate_basis_points between 0 and 9999),
    basis text not null check (basis <> ''),
    partner_id uuid not null,
    primary key (tenant_id, merchant_id, effective_from)
);

-- What was recognised of breakage when a period was closed, with the figures it was reckoned from: all of paid value, from the
-- beginning to the end of the period, in minor units. `recognised` is below zero where an estimate was taken back.
create table breakage_runs (
    tenant_id uuid not null,
    merchant_id uuid not null,
    number integer not null,
    ends_at timestamptz not null,
    rate_basis_points integer not null,
    sold bigint not null,
    redeemed bigint not null,
    expired bigint not null,
    unredeemed bigint not null,
    contra_before bigint not null,
    recognised bigint not null,
    journal_id uuid,
    at timestamptz not null,
    primary key (tenant_id, merchant_id, number),
    check ((journal_id is not null) = (recognised <> 0))
);

-- A report and how far its making is. `figures` sum it up; `digest` is of its rows. `tries` counts how often its making began.
create table reports (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    client_id uuid not null,
    merchant_id uuid not null,
    request_id uuid not null,
    kind text not null check (kind in ('liability', 'breakage', 'settlement', 'aging', 'dormancy', 'reconciliation')),
    status text not null check (status in ('accepted', 'running', 'completed', 'failed')),
    from_at timestamptz,
    to_at timestamptz,
    from_version bigint check (from_version >= 0),
    to_version bigint check (to_version >= from_version),
    dormant_months integer check (dormant_months between 1 and 600),
    final boolean,
    row_count bigint check (row_count >= 0),
    byte_count bigint check (byte_count >= 0),
    digest bytea,
    figures json,
    due_at timestamptz,
    tries integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    check ((due_at is not null) = (status in ('accepted', 'running'))),
    check ((digest is not null) = (status = 'completed'))
);
create index reports_due on reports (tenant_id, due_at) where due_at is not null;
create index reports_of_partner on reports (tenant_id, partner_id, created_at desc, id desc);

-- The rows of a report, in order, some hundred in each part: an array of arrays of scalars. Ids and amounts, nothing personal.
create table report_parts (
    tenant_id uuid not null,
    report_id uuid not null,
    part integer not null check (part > 0),
    content bytea not null,
    primary key (tenant_id, report_id, part)
);

do $$
declare
    guarded text;
begin
    foreach guarded in array array[
        'book_closings', 'periods', 'breakage_terms', 'breakage_runs', 'reports', 'report_parts'
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
grant select on book_closings, periods, breakage_terms, breakage_runs, reports, report_parts to tallystick_app, tallystick_auditor;
grant insert, update on book_closings, periods, breakage_terms, reports to tallystick_app;
-- What was recognised and what was reported stays as it was.
grant insert on breakage_runs, report_parts to tallystick_app;

-- migrate: rollback
