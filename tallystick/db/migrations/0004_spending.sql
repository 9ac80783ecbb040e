-- What spending needs: accounts that every merchant has, the terms on which its value is spent, and when lots expire.
-- depends: 0003_value

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

alter table merchants
    add column region text,
    add column value_days integer check (value_days between 1 and 36500);

-- class: tenant
-- On what terms a merchant's value is spent. Maxima are minor units of its currency, counts are payments; null: no bound.
create table spending_terms (
    tenant_id uuid not null,
    merchant_id uuid not null,
    payment_minimum bigint check (payment_minimum > 0),
    payment_maximum bigint check (payment_maximum > 0),
    wallet_day_maximum bigint check (wallet_day_maximum > 0),
    wallet_day_count integer check (wallet_day_count > 0),
    card_day_maximum bigint check (card_day_maximum > 0),
    card_day_count integer check (card_day_count > 0),
    merchant_day_maximum bigint check (merchant_day_maximum > 0),
    card_maximum bigint check (card_maximum > 0),
    adjust_maximum bigint check (adjust_maximum >= 0),
    authorization_days integer not null default 7 check (authorization_days between 1 and 365),
    refund_grace_days integer not null default 30 check (refund_grace_days between 1 and 3650),
    expiry_notice_days integer not null default 14 check (expiry_notice_days between 1 and 365),
    member_code_pays boolean not null default false,
    primary key (tenant_id, merchant_id)
);
insert into spending_terms (tenant_id, merchant_id) select tenant_id, id from merchants;

-- When a lot expires. `due_at` is when the books must move next: at its expiry, and again when a payment that held some of it ends
-- later; null once nothing is left to do. `announced_at` is when its holder was told that it will expire.
create table lot_deadlines (
    tenant_id uuid not null,
    account_id uuid not null,
    parent_id uuid not null,
    merchant_id uuid not null,
    code text not null,
    expires_at timestamptz not null,
    due_at timestamptz,
    announced_at timestamptz,
    primary key (tenant_id, account_id)
) with (fillfactor = 80);
create index lot_deadlines_due on lot_deadlines (tenant_id, code, due_at) where due_at is not null;
create index lot_deadlines_to_announce on lot_deadlines (tenant_id, code, expires_at) where announced_at is null;

-- The accounts that every merchant has are named by what they are (ledger/chart.py): those of merchants that were here before.
insert into accounts (tenant_id, id, merchant_id, currency, code, owner_id, last_at, opened_at)
select m.tenant_id, md5(m.id::text || ':' || chart.code)::uuid, m.id, m.currency, chart.code, m.id, m.created_at, m.created_at
from merchants as m,
    unnest(array[
        'merchant.payable', 'merchant.sales', 'merchant.breakage', 'merchant.breakage_income', 'merchant.losses',
        'merchant.cash_out', 'merchant.adjustments'
    ]) as chart (code);

-- A lot's funder is the account that paid for it, where what expires of it returns to.
update accounts as lot
set funder_id = r.funding_account_id
from rewards as r
where r.tenant_id = lot.tenant_id and r.value_account_id = lot.id and lot.code = 'wallet.lot';

do $$
declare
    guarded text;
begin
    foreach guarded in array array['spending_terms', 'lot_deadlines'] loop
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
grant select on spending_terms, lot_deadlines to tallystick_app, tallystick_auditor;
grant insert, update on spending_terms, lot_deadlines to tallystick_app;

-- migrate: rollback
