-- Codes that holders show, and holders that turn out to be one.
-- depends: 0008_reports

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: tenant
-- Codes that a holder shows at a till for a minute, known by their keyed index only. One is used once, and forgotten soon after.
create table till_codes (
    tenant_id uuid not null,
    code_index bytea not null,
    wallet_id uuid not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    primary key (tenant_id, code_index)
);
create index till_codes_of_wallet on till_codes (tenant_id, wallet_id, expires_at);
create index till_codes_by_expiry on till_codes (tenant_id, expires_at);

-- Two customers that turned out to be one. Undone, the row stays: `undone_at` says when they turned out to be two after all.
create table customer_merges (
    tenant_id uuid not null,
    id uuid not null,
    customer_id uuid not null,
    into_customer_id uuid not null,
    merged_at timestamptz not null,
    undone_at timestamptz,
    primary key (tenant_id, id)
);
create unique index customer_merges_open on customer_merges (tenant_id, customer_id) where undone_at is null;

-- What a merge did to one wallet, and what undoing it brought back. Lots go by place: what `from_lots` held moved to `into_lots`.
create table wallet_merges (
    tenant_id uuid not null,
    id uuid not null,
    customer_merge_id uuid not null,
    wallet_id uuid not null,
    into_wallet_id uuid not null,
    status_before text not null check (status_before in ('pending', 'active', 'closing')),
    journal_id uuid,
    from_lots uuid[] not null,
    into_lots uuid[] not null,
    amounts bigint[] not null,
    owed bigint not null check (owed >= 0),
    undo_journal_id uuid,
    returned bigint check (returned >= 0),
    owed_returned bigint check (owed_returned between 0 and owed),
    primary key (tenant_id, id),
    check (cardinality(from_lots) = cardinality(into_lots) and cardinality(from_lots) = cardinality(amounts))
);
create index wallet_merges_of_customer on wallet_merges (tenant_id, customer_merge_id);

alter table wallets add column merged_into uuid;
alter table customers add column merged_into uuid;
-- When whoever gave a reward that waits was told that it expires soon.
alter table rewards add column announced_at timestamptz;

-- How long before an expiry holders are told is each merchant's own: the next of each merchant is one probe. The first two tables are
-- young; the third index holds only rewards that wait, and reading the table for it stops writers for about a second a million rows.
-- squawk-ignore require-concurrent-index-creation
create index lot_deadlines_of_merchant on lot_deadlines (tenant_id, code, merchant_id, expires_at) where announced_at is null;
-- squawk-ignore require-concurrent-index-creation
create index spending_terms_by_notice on spending_terms (tenant_id, expiry_notice_days);
-- squawk-ignore require-concurrent-index-creation
create index rewards_to_announce on rewards (tenant_id, merchant_id, claim_expires_at)
where status = 'Created' and announced_at is null;

do $$
declare
    guarded text;
begin
    foreach guarded in array array['till_codes', 'customer_merges', 'wallet_merges'] loop
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
grant select on till_codes, customer_merges, wallet_merges to tallystick_app, tallystick_auditor;
grant insert, update on till_codes, customer_merges, wallet_merges to tallystick_app;
-- A code that has expired is of no use to anybody.
grant delete on till_codes to tallystick_app;

-- migrate: rollback
