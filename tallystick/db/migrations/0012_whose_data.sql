-- Where things happen, whose data may be sent, and by what else a customer is known.
-- depends: 0011_card_lives

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- Whose data a partner may send of each kind: of everyone, of those who consented, or of nobody.
alter table agreements
add column transactions_policy text not null default 'all' check (transactions_policy in ('all', 'consented', 'none')),
add column visits_policy text not null default 'all' check (visits_policy in ('all', 'consented', 'none')),
add column orders_policy text not null default 'all' check (orders_policy in ('all', 'consented', 'none'));

-- class: tenant
-- A place where a merchant trades. `external_id` is the partner's own name of it; `groups` are the partner's words for sets of places.
create table locations (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    merchant_id uuid not null,
    name text not null check (name <> ''),
    external_id text,
    time_zone text not null,
    groups text[] not null default '{}',
    status text not null default 'active' check (status in ('active', 'closed')),
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id)
);
create index locations_of_merchant on locations (tenant_id, merchant_id, created_at desc, id desc);
create unique index locations_by_external_id on locations (tenant_id, merchant_id, external_id) where external_id is not null;

-- How a merchant takes activity: counted at once, or pending until it is reconciled; for how many days what names nobody who is known
-- waits for them.
create table activity_terms (
    tenant_id uuid not null,
    merchant_id uuid not null,
    attribution text not null default 'immediate' check (attribution in ('immediate', 'reconciled')),
    release_after_days integer check (release_after_days between 0 and 365),
    unknown_days integer not null default 30 check (unknown_days between 0 and 365),
    return_count_signal integer check (return_count_signal > 0),
    return_window_days integer not null default 30 check (return_window_days between 1 and 365),
    primary key (tenant_id, merchant_id)
);
insert into activity_terms (tenant_id, merchant_id) select tenant_id, id from merchants;

-- What kinds of data a customer permitted a partner to send; withdrawn by `withdrawn_at`, and given anew by another row's place.
create table data_permissions (
    tenant_id uuid not null,
    customer_id uuid not null,
    partner_id uuid not null,
    kind text not null check (kind in ('transactions', 'visits', 'orders')),
    given_at timestamptz not null,
    withdrawn_at timestamptz,
    primary key (tenant_id, customer_id, partner_id, kind)
);

-- Payment cards that a customer is known by: the keyed index of the partner's token, never a number.
create table card_tokens (
    tenant_id uuid not null,
    token_index bytea not null,
    partner_id uuid not null,
    customer_id uuid not null,
    added_at timestamptz not null,
    primary key (tenant_id, partner_id, token_index)
);
create index card_tokens_of_customer on card_tokens (tenant_id, customer_id);

do $$
declare
    guarded text;
begin
    foreach guarded in array array[
        'locations', 'activity_terms', 'data_permissions', 'card_tokens'
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
grant select, insert, update on locations, activity_terms, data_permissions, card_tokens to tallystick_app;
grant delete on card_tokens to tallystick_app;
grant select on locations, activity_terms, data_permissions, card_tokens to tallystick_auditor;

-- migrate: rollback
