-- Payments made with stored value.
-- depends: 0005_gift_cards

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: tenant
-- A payment as it stands. Amounts are minor units. What was authorised is asked for or less, what was captured is authorised or
-- less, what was refunded is captured or less; each splits into tender (paid value) and discount (given value). `expires_at` is
-- the deadline of a capture that is still to come. `counted_on` is the merchant's day in which it counts towards the
-- merchant's maximum; null where there was none.
create table payment_intents (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    merchant_id uuid not null,
    location_id text,
    currency char(3) not null,
    status text not null check (status in ('authorized', 'captured', 'refunded', 'cancelled', 'expired')),
    capture text not null check (capture in ('automatic', 'manual')),
    allow_partial boolean not null,
    amount bigint not null check (amount > 0),
    authorized_amount bigint not null check (authorized_amount between 1 and amount),
    authorized_tender bigint not null check (authorized_tender between 0 and authorized_amount),
    captured_amount bigint not null default 0 check (captured_amount between 0 and authorized_amount),
    captured_tender bigint not null default 0 check (captured_tender >= 0),
    captured_discount bigint not null default 0 check (captured_discount >= 0),
    refunded_amount bigint not null default 0 check (refunded_amount between 0 and captured_amount),
    refunded_tender bigint not null default 0 check (refunded_tender between 0 and captured_tender),
    refunded_discount bigint not null default 0 check (refunded_discount between 0 and captured_discount),
    external_reference text,
    expires_at timestamptz,
    counted_on date,
    answer_sealed bytea not null,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    check (captured_tender + captured_discount = captured_amount),
    check (refunded_tender + refunded_discount = refunded_amount),
    check ((expires_at is not null) = (capture = 'manual'))
) with (fillfactor = 80);
create index payment_intents_of_partner on payment_intents (tenant_id, partner_id, created_at desc, id desc);
create index payment_intents_of_merchant on payment_intents (tenant_id, merchant_id, created_at desc, id desc);
create index payment_intents_by_reference on payment_intents (tenant_id, external_reference) where external_reference is not null;
-- Of use only to whoever asks for a deadline.
create index payment_intents_by_deadline on payment_intents (tenant_id, expires_at)
where status = 'authorized' and expires_at is not null;

-- What a payment is paid from, in the declared order. `asked_amount`: at most so much of this source; null: as much as is due.
create table payment_sources (
    tenant_id uuid not null,
    intent_id uuid not null,
    ordinal smallint not null check (ordinal between 1 and 10),
    kind text not null check (kind in ('wallet', 'giftCard')),
    source_id uuid not null,
    asked_amount bigint check (asked_amount > 0),
    authorized_amount bigint not null check (authorized_amount >= 0),
    counted_on date,
    primary key (tenant_id, intent_id, ordinal)
) with (fillfactor = 90);
create index payment_sources_of_source on payment_sources (tenant_id, source_id, intent_id);

-- What of a payment came out of which lot, in the order in which lots are burnt; refunds go the other way. A part with a hold is
-- reserved until it is captured or released.
create table payment_parts (
    tenant_id uuid not null,
    intent_id uuid not null,
    ordinal integer not null check (ordinal > 0),
    source_ordinal smallint not null,
    account_id uuid not null,
    lot_class text not null check (lot_class in ('paid', 'promotional', 'compensation', 'refund')),
    hold_id uuid,
    amount bigint not null check (amount > 0),
    captured bigint not null default 0 check (captured between 0 and amount),
    refunded bigint not null default 0 check (refunded between 0 and captured),
    primary key (tenant_id, intent_id, ordinal)
) with (fillfactor = 80);

create table payment_refunds (
    tenant_id uuid not null,
    id uuid not null,
    intent_id uuid not null,
    amount bigint not null check (amount > 0),
    tender bigint not null check (tender >= 0),
    discount bigint not null check (discount >= 0),
    reason text,
    journal_id uuid not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    check (tender + discount = amount)
);
create index payment_refunds_of_intent on payment_refunds (tenant_id, intent_id, id);

-- A till's own name for a payment: the lock that the payment and its reversal share, whichever comes first.
create table till_references (
    tenant_id uuid not null,
    partner_id uuid not null,
    merchant_id uuid not null,
    reference text not null,
    intent_id uuid,
    reversed_at timestamptz,
    created_at timestamptz not null,
    primary key (tenant_id, partner_id, merchant_id, reference),
    check (intent_id is not null or reversed_at is not null)
) with (fillfactor = 90);

-- What was spent in a merchant's day by a wallet, by a card, or at the merchant; kept only where the merchant sets a limit.
create table spending_days (
    tenant_id uuid not null,
    subject_id uuid not null,
    day date not null,
    count integer not null default 0 check (count >= 0),
    amount bigint not null default 0 check (amount >= 0),
    primary key (tenant_id, subject_id, day)
) with (fillfactor = 50);

do $$
declare
    guarded text;
begin
    foreach guarded in array array[
        'payment_intents', 'payment_sources', 'payment_parts', 'payment_refunds', 'till_references', 'spending_days'
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
grant select on payment_intents, payment_sources, payment_parts, payment_refunds, till_references, spending_days
    to tallystick_app, tallystick_auditor;
grant insert, update on payment_intents, payment_sources, payment_parts to tallystick_app;
-- What was given back stays given back.
grant insert on payment_refunds to tallystick_app;
-- A refused payment leaves neither its reference nor a day on which nothing was spent.
grant insert, update, delete on till_references, spending_days to tallystick_app;

-- migrate: rollback
