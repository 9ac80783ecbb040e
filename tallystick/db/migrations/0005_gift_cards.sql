-- Gift cards: sold, delivered, looked up, replaced.
-- depends: 0004_spending

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: tenant
-- A card as it stands. What it holds is in its lots (`card.lot`, whose parent it is). Of its number and PIN only a keyed index and a
-- sealed copy are kept; `answer_sealed` is the issuing answer of a card that was issued alone, `reveal_until` how long a repeated
-- request is shown the number.
create table gift_cards (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    merchant_id uuid not null,
    currency char(3) not null,
    status text not null check (status in ('pending', 'active', 'frozen', 'depleted', 'expired', 'cancelled', 'replaced')),
    value_class text not null check (value_class in ('paid', 'promotional')),
    initial_amount bigint not null check (initial_amount >= 0),
    reloadable boolean not null,
    code_index bytea not null,
    code_sealed bytea not null,
    code_tail text not null check (length(code_tail) = 4),
    pin_digest bytea,
    pin_sealed bytea,
    design_id uuid,
    batch_id uuid,
    expires_at timestamptz,
    issued_at timestamptz not null,
    activated_at timestamptz,
    reveal_until timestamptz,
    first_revealed_at timestamptz,
    replaces uuid,
    replaced_by uuid,
    reason text,
    external_reference text,
    answer_sealed bytea,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    check ((pin_digest is null) = (pin_sealed is null))
) with (fillfactor = 85);
create unique index gift_cards_by_code on gift_cards (tenant_id, code_index);
create index gift_cards_newest on gift_cards (tenant_id, created_at desc, id desc);
create index gift_cards_of_batch on gift_cards (tenant_id, batch_id, id) where batch_id is not null;
create index gift_cards_by_reference on gift_cards (tenant_id, external_reference) where external_reference is not null;
-- Of use only to whoever asks for a deadline.
create index gift_cards_by_expiry on gift_cards (tenant_id, expires_at)
where expires_at is not null and status in ('pending', 'active', 'frozen', 'depleted');

-- What happened to a card, in the order of its versions. `reason` is of a closed list: there is no free text here.
create table gift_card_activities (
    tenant_id uuid not null,
    card_id uuid not null,
    sequence integer not null,
    kind text not null check (kind ~ '^[a-z][a-z_]*$'),
    amount bigint not null,
    balance_after bigint not null check (balance_after >= 0),
    reason text check (reason ~ '^[a-z][a-z_]*$'),
    journal_id uuid,
    cause_id uuid,
    partner_id uuid,
    request_id uuid,
    at timestamptz not null,
    primary key (tenant_id, card_id, sequence)
);

-- A batch of equal cards. `due_at` (real time) is when the worker goes on with it. `error` says why it is paused.
-- `activation` is how far the activation of its pending cards is, `activation_after` the last one that was looked at. A download is given once: again until `download_until`, to the
-- same key.
create table gift_card_batches (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    client_id uuid not null,
    merchant_id uuid not null,
    request_id uuid not null,
    status text not null check (status in ('accepted', 'running', 'paused', 'completed', 'cancelled')),
    total integer not null check (total > 0),
    done integer not null default 0 check (done between 0 and total),
    amount bigint not null check (amount > 0),
    currency char(3) not null,
    value_class text not null check (value_class in ('paid', 'promotional')),
    activate boolean not null,
    reloadable boolean not null,
    pin boolean not null,
    design_id uuid,
    expires_at timestamptz,
    external_reference text,
    error json,
    activation text check (activation in ('running', 'completed')),
    activated integer not null default 0 check (activated >= 0),
    activation_client_id uuid,
    activation_request_id uuid,
    activation_after uuid,
    due_at timestamptz,
    downloaded_at timestamptz,
    download_until timestamptz,
    download_key bytea,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    check ((error is not null) = (status = 'paused'))
) with (fillfactor = 50);
create index gift_card_batches_due on gift_card_batches (due_at) where due_at is not null;
create index gift_card_batches_newest on gift_card_batches (tenant_id, created_at desc, id desc);

create table gift_card_designs (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    merchant_id uuid not null,
    name text not null,
    image_url text,
    background_colour text,
    terms text,
    status text not null check (status in ('active', 'retired')),
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id)
);
create index gift_card_designs_newest on gift_card_designs (tenant_id, created_at desc, id desc);

-- A card on its way to its recipient. Address, names and message are sealed together, and destroyed once it was sent or is not to be.
create table gift_card_deliveries (
    tenant_id uuid not null,
    id uuid not null,
    card_id uuid not null,
    partner_id uuid not null,
    client_id uuid not null,
    request_id uuid not null,
    channel text not null check (channel in ('email', 'sms')),
    content_sealed bytea,
    deliver_at timestamptz not null,
    sent_at timestamptz,
    cancelled_at timestamptz,
    attempts integer not null default 0 check (attempts >= 0),
    created_at timestamptz not null,
    primary key (tenant_id, id),
    check (sent_at is null or cancelled_at is null)
);
create index gift_card_deliveries_of_card on gift_card_deliveries (tenant_id, card_id, id);
create index gift_card_deliveries_due on gift_card_deliveries (tenant_id, deliver_at)
where sent_at is null and cancelled_at is null;

-- A correction of a card's balance that a second person has to decide on.
create table gift_card_adjustments (
    tenant_id uuid not null,
    id uuid not null,
    card_id uuid not null,
    partner_id uuid not null,
    merchant_id uuid not null,
    amount bigint not null check (amount <> 0),
    value_class text not null check (value_class in ('paid', 'promotional')),
    reason text not null,
    status text not null check (status in ('pending', 'approved', 'rejected')),
    asked_by uuid not null,
    decided_by uuid,
    version integer not null default 1,
    created_at timestamptz not null,
    decided_at timestamptz,
    primary key (tenant_id, id),
    check ((decided_at is null) = (status = 'pending')),
    check ((decided_by is null) = (status = 'pending'))
);
create index gift_card_adjustments_of_card on gift_card_adjustments (tenant_id, card_id, created_at desc, id desc);
create index gift_card_adjustments_newest on gift_card_adjustments (tenant_id, created_at desc, id desc);

-- Numbers that were never sold: whoever tries one has a list of numbers.
create table card_canaries (
    tenant_id uuid not null,
    code_index bytea not null,
    label text not null,
    created_at timestamptz not null,
    primary key (tenant_id, code_index)
);

-- How many lookups of a client found nothing, in real time.
create table card_lookup_windows (
    tenant_id uuid not null,
    client_id uuid not null,
    window_start timestamptz not null,
    tried integer not null default 0 check (tried >= 0),
    missed integer not null default 0 check (missed >= 0),
    blocked_until timestamptz,
    primary key (tenant_id, client_id)
) with (fillfactor = 50);

do $$
declare
    guarded text;
begin
    foreach guarded in array array[
        'gift_cards', 'gift_card_activities', 'gift_card_batches', 'gift_card_designs', 'gift_card_deliveries',
        'gift_card_adjustments', 'card_canaries', 'card_lookup_windows'
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
grant select on
    gift_cards, gift_card_activities, gift_card_batches, gift_card_designs, gift_card_deliveries, gift_card_adjustments,
    card_canaries, card_lookup_windows
    to tallystick_app, tallystick_auditor;
grant insert, update on
    gift_cards, gift_card_batches, gift_card_designs, gift_card_deliveries, gift_card_adjustments, card_lookup_windows
    to tallystick_app;
-- What happened to a card stays as it is written; a canary that is wanted no more is taken away.
grant insert on gift_card_activities to tallystick_app;
grant insert, delete on card_canaries to tallystick_app;

-- migrate: rollback
