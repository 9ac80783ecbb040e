-- Daily reports that partners ask for once, and what came of holding their own totals against a report.
-- depends: 0017_webhooks

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- The trial balance has a name of its own: `reconciliation` is what a partner holds its own books against, day by day. A report that
-- was made keeps its rows, and they are a trial balance's.
-- squawk-ignore ban-drop-constraint -- it is made wider at once: what was allowed still is
alter table reports drop constraint reports_kind_check;
alter table reports add constraint reports_kind_check check (
    kind in ('liability', 'breakage', 'settlement', 'aging', 'dormancy', 'reconciliation', 'trialBalance')
) not valid;
alter table reports no force row level security;
update reports set kind = 'trialBalance' where kind = 'reconciliation';
alter table reports force row level security;

-- class: tenant
-- A partner wants a report of every day of a merchant. `next_day` is the merchant's own day that is reported next, at `due_at` by the
-- tenant's clock; null: it is switched off.
create table report_schedules (
    tenant_id uuid not null,
    partner_id uuid not null,
    merchant_id uuid not null,
    kind text not null check (kind = 'reconciliation'),
    id uuid not null,
    client_id uuid not null,
    request_id uuid not null,
    next_day date not null,
    due_at timestamptz,
    last_report_id uuid,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, partner_id, merchant_id, kind)
) with (fillfactor = 70);
create index report_schedules_due on report_schedules (tenant_id, due_at) where due_at is not null;

-- class: tenant
-- A partner's own totals, held against a report. `totals` are those that were compared, ours beside theirs; `difference_count` counts
-- every difference, of which the first stand in `reconciliation_differences`.
create table reconciliations (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    client_id uuid not null,
    merchant_id uuid not null,
    request_id uuid not null,
    report_id uuid not null,
    from_at timestamptz not null,
    to_at timestamptz not null,
    currency char(3) not null,
    status text not null check (status in ('matched', 'mismatched')),
    totals json not null,
    row_count integer not null check (row_count >= 0),
    difference_count bigint not null check (difference_count >= 0),
    created_at timestamptz not null,
    primary key (tenant_id, id),
    check ((status = 'matched') = (difference_count = 0))
);
create index reconciliations_of_partner on reconciliations (tenant_id, partner_id, created_at desc, id desc);

-- class: tenant
-- Where a partner's totals or rows differ from ours. A reference is what the partner calls a thing, in its own request to us.
create table reconciliation_differences (
    tenant_id uuid not null,
    reconciliation_id uuid not null,
    number integer not null check (number > 0),
    kind text not null check (kind in ('total', 'missingHere', 'missingThere', 'differs')),
    topic text not null,
    subject_id uuid,
    event_id uuid,
    reference text,
    our_count bigint not null,
    their_count bigint not null,
    our_amount bigint,
    their_amount bigint,
    primary key (tenant_id, reconciliation_id, number)
);

do $$
declare
    guarded text;
begin
    foreach guarded in array array['report_schedules', 'reconciliations', 'reconciliation_differences'] loop
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
grant select on report_schedules, reconciliations, reconciliation_differences to tallystick_app, tallystick_auditor;
grant insert, update on report_schedules to tallystick_app;
-- What was found stays as it was.
grant insert on reconciliations, reconciliation_differences to tallystick_app;

-- migrate: rollback
