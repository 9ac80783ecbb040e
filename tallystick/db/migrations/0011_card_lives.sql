-- Purchases of gift cards that were charged back.
-- depends: 0010_card_lookups

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: tenant
-- What the charge-back of a card's purchase took: `paid` is what its buyer had paid, `lost` how much of that is not recovered yet.
-- What a payment still held then, and what a refund brings back, is taken as soon as it is free.
create table gift_card_charge_backs (
    tenant_id uuid not null,
    card_id uuid not null,
    external_reference text,
    paid bigint not null check (paid > 0),
    lost bigint not null check (lost between 0 and paid),
    at timestamptz not null,
    primary key (tenant_id, card_id)
) with (fillfactor = 80);

alter table gift_card_charge_backs enable row level security;
alter table gift_card_charge_backs force row level security;
create policy own_tenant on gift_card_charge_backs to tallystick_app using (
    tenant_id = (select nullif(current_setting('tallystick.tenant', true), '')::uuid)
);
create policy auditor_reads on gift_card_charge_backs for select to tallystick_auditor using (true);
grant select on gift_card_charge_backs to tallystick_app, tallystick_auditor;
grant insert, update on gift_card_charge_backs to tallystick_app;

-- migrate: rollback
