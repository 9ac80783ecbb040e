-- Activity: what customers did, told by partners, each once for ever.
-- depends: 0012_whose_data

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: tenant
-- The name of every activity, for ever, so that old activity can be detached. `activity_id` is null while only something that refers to
-- it has come: a refund before its purchase. Inserting the row is the lock that the two share.
create table activity_keys (
    tenant_id uuid not null,
    source text not null,
    source_id text not null,
    partner_id uuid not null,
    activity_id uuid,
    fingerprint bytea,
    primary key (tenant_id, source, source_id)
);

-- One thing that happened, normalised. Amounts are minor units; `amount` is with tax. Of the lines of a receipt, sums by category are kept;
-- of its payments, sums by method. Ids are UUIDv7 made as it came in, and months of them are partitions. What changes later: whose it
-- is, whether it counts, whether it was voided, and how much of it was returned (the plain sum, which may exceed the amount). What waits
-- to be reconciled and came by no import is released at `release_at`.
create table activities (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    merchant_id uuid not null,
    kind text not null check (kind in ('transaction', 'visit', 'order')),
    type text not null check (type in ('Purchase', 'Void', 'Refund', 'Visit', 'Order')),
    source text not null,
    source_id text not null,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    channel text,
    location_id uuid,
    currency char(3) not null,
    amount bigint not null check (amount >= 0),
    tax bigint not null check (tax between 0 and amount),
    units bigint not null check (units >= 0),
    categories text[],
    category_amounts bigint[],
    category_taxes bigint[],
    category_units bigint[],
    methods text[],
    method_amounts bigint[],
    customer_id uuid,
    identity_kind text check (identity_kind in ('userId', 'phone', 'externalId', 'memberCode', 'cardToken')),
    identity_index bytea,
    linked_source_id text,
    linked_id uuid,
    attribution text not null check (attribution in ('counted', 'pending', 'rejected')),
    returned_amount bigint not null default 0,
    returned_units bigint not null default 0,
    voided boolean not null default false,
    import_id uuid,
    import_line bigint,
    release_at timestamptz,
    request_id uuid not null,
    payload_sealed bytea,
    primary key (tenant_id, id)
) partition by range (id);
create table activities_default partition of activities default;
create index activities_of_customer on activities (tenant_id, customer_id, occurred_at) where customer_id is not null;
create index activities_of_unknown on activities (tenant_id, identity_index) where customer_id is null and identity_index is not null;
create index activities_of_import on activities (tenant_id, import_id, id) where import_id is not null;
create index activities_of_purchase on activities (tenant_id, linked_id) where linked_id is not null;
create index activities_of_merchant on activities (tenant_id, merchant_id, id);
create index activities_due on activities (tenant_id, release_at) where attribution = 'pending' and release_at is not null;

-- Refunds and voids that came before what they take back; gone once it is there.
create table activity_waits (
    tenant_id uuid not null,
    source text not null,
    source_id text not null,
    activity_id uuid not null,
    primary key (tenant_id, source, source_id, activity_id)
);

-- How far the changes of customers were looked at for activity that was nobody's: twice each, at once and when no work that had not
-- seen the change can be under way any more.
create table activity_cursors (
    tenant_id uuid not null,
    name text not null check (name in ('fresh', 'sure')),
    changed_at timestamptz not null,
    customer_id uuid not null,
    primary key (tenant_id, name)
);
-- squawk-ignore require-concurrent-index-creation
create index customers_by_change on customers (tenant_id, updated_at, id);

do $$
declare
    guarded text;
begin
    foreach guarded in array array[
        'activity_keys', 'activities', 'activity_waits', 'activity_cursors'
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
grant select, insert on activity_keys, activities, activity_waits, activity_cursors to tallystick_app;
grant update (activity_id, fingerprint, partner_id) on activity_keys to tallystick_app;
grant update (customer_id, attribution, returned_amount, returned_units, voided, linked_id) on activities to tallystick_app;
grant update on activity_cursors to tallystick_app;
-- A name is taken back in the work that took it, when that refuses what it stands for.
grant delete on activity_keys, activity_waits to tallystick_app;
grant select on activity_keys, activities, activity_waits, activity_cursors to tallystick_auditor;

-- migrate: rollback
