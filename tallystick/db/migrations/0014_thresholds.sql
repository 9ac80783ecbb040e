-- Thresholds: rules whose versions never change, how far each customer is, and what came of it.
-- depends: 0013_activity

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: tenant
-- A rule by name; what it says is in its versions. `live_number` is the version in force, `latest_number` the newest, perhaps a draft.
create table thresholds (
    tenant_id uuid not null,
    id uuid not null,
    partner_id uuid not null,
    client_id uuid not null,
    merchant_id uuid not null,
    name text not null check (name <> ''),
    status text not null check (status in ('draft', 'scheduled', 'active', 'paused', 'completed')),
    latest_number integer not null check (latest_number > 0),
    live_number integer check (live_number <= latest_number),
    scheduled_at timestamptz,
    due_at timestamptz,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id)
);
create index thresholds_of_merchant on thresholds (tenant_id, merchant_id, created_at desc, id desc);
create index thresholds_due on thresholds (tenant_id, due_at) where due_at is not null;

-- What a rule says, once published for ever. Null filters take everything. `targets` are the cumulative needs of its steps, ascending;
-- `rewards`, `caps` and `budgets` are documents that only Python reads.
create table threshold_versions (
    tenant_id uuid not null,
    threshold_id uuid not null,
    number integer not null check (number > 0),
    merchant_id uuid not null,
    metric text not null check (metric in ('spend', 'visits', 'orders', 'items', 'distinctDays', 'distinctLocations')),
    before_tax boolean not null,
    currency char(3) not null,
    time_zone text not null,
    kinds text[] not null,
    locations uuid[],
    groups text[],
    channels text[],
    categories text[],
    methods text[],
    excluded_methods text[],
    minimum bigint check (minimum > 0),
    weekdays integer[],
    minute_from integer check (minute_from between 0 and 1439),
    minute_until integer check (minute_until between 1 and 1440),
    window_kind text not null check (window_kind in ('ever', 'dates', 'calendar', 'rolling')),
    window_from timestamptz,
    window_until timestamptz,
    window_period text check (window_period in ('day', 'week', 'month', 'quarter', 'year')),
    window_days integer check (window_days between 1 and 366),
    repeat text not null check (repeat in ('once', 'repeating', 'perPeriod')),
    targets bigint[] not null check (cardinality(targets) between 1 and 20),
    rewards json not null,
    caps json not null,
    budgets json not null,
    refund_policy text not null check (refund_policy in ('none', 'unspent_only', 'full')),
    published_at timestamptz,
    created_at timestamptz not null,
    primary key (tenant_id, threshold_id, number)
);

-- When which version counts what happens: half-open, never overlapping for one threshold.
create table threshold_intervals (
    tenant_id uuid not null,
    threshold_id uuid not null,
    from_at timestamptz not null,
    until_at timestamptz,
    number integer not null,
    merchant_id uuid not null,
    primary key (tenant_id, threshold_id, from_at)
);
create index threshold_intervals_of_merchant on threshold_intervals (tenant_id, merchant_id);

-- How far a customer is in one window: `epoch` where the rule knows only one. `current` counts (in a window that rolls: the most that
-- any of its stretches held), `pending` waits to be released, `reached` is the need of the highest step settled; `moved` rises with every change, `told` with
-- every change that is told. The id is made of the three that name it.
create table threshold_progress (
    tenant_id uuid not null,
    threshold_id uuid not null,
    customer_id uuid not null,
    window_start timestamptz not null,
    id uuid not null,
    merchant_id uuid not null,
    current bigint not null,
    pending bigint not null,
    reached bigint not null default 0,
    number integer not null,
    moved integer not null default 1,
    told integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, threshold_id, customer_id, window_start)
) with (fillfactor = 50);
create index threshold_progress_of_customer on threshold_progress (tenant_id, customer_id);
create index threshold_progress_by_id on threshold_progress (tenant_id, id);

-- The days or places that were counted, for what counts different ones and for windows that roll: how much of each.
create table threshold_marks (
    tenant_id uuid not null,
    threshold_id uuid not null,
    customer_id uuid not null,
    window_start timestamptz not null,
    mark text not null,
    counted bigint not null,
    pending bigint not null,
    primary key (tenant_id, threshold_id, customer_id, window_start, mark)
) with (fillfactor = 70);

-- What reaching a step came to. At most one of one step stands: 'given', 'kept' (no longer deserved, and by the rule not taken back), or
-- 'returned' (taken back), 'capped' (nothing was left of a cap or budget), 'refused' (to be tried again at `due_at`). `desired_amount` is
-- what it would have been without caps.
create table threshold_outcomes (
    tenant_id uuid not null,
    id uuid not null,
    threshold_id uuid not null,
    customer_id uuid not null,
    window_start timestamptz not null,
    cycle integer not null check (cycle > 0),
    step integer not null check (step > 0),
    generation integer not null check (generation > 0),
    number integer not null,
    merchant_id uuid not null,
    needs bigint not null,
    status text not null check (status in ('given', 'kept', 'returned', 'capped', 'refused')),
    reward_type text not null check (reward_type in ('walletCredit', 'giftCard')),
    reward_id uuid,
    gift_card_id uuid,
    amount bigint not null check (amount >= 0),
    desired_amount bigint not null check (desired_amount >= amount),
    returned_amount bigint not null default 0,
    currency char(3) not null,
    location_id uuid,
    activity_id uuid,
    request_id uuid not null,
    code text,
    due_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id)
);
create unique index threshold_outcomes_of_step
on threshold_outcomes (tenant_id, threshold_id, customer_id, window_start, cycle, step, generation);
create index threshold_outcomes_of_reward on threshold_outcomes (tenant_id, reward_id) where reward_id is not null;
create index threshold_outcomes_of_card on threshold_outcomes (tenant_id, gift_card_id) where gift_card_id is not null;
create index threshold_outcomes_due on threshold_outcomes (tenant_id, due_at) where due_at is not null;

-- What was given of each cap and budget: of the rule, a customer, a merchant or a location, in one period ('ever', from the epoch on: in
-- all). Periods of two kinds may begin at one instant.
create table threshold_spent (
    tenant_id uuid not null,
    threshold_id uuid not null,
    scope text not null check (scope in ('rule', 'customer', 'merchant', 'location')),
    scope_id uuid not null,
    period text not null check (period in ('ever', 'day', 'week', 'month', 'quarter', 'year')),
    period_start timestamptz not null,
    count bigint not null,
    amount bigint not null,
    primary key (tenant_id, threshold_id, scope, scope_id, period, period_start)
) with (fillfactor = 70);

-- What was told of customers who return often: at a merchant, once in a window, numbered through for each customer. Only numbers are kept.
create table return_signals (
    tenant_id uuid not null,
    customer_id uuid not null,
    sequence integer not null check (sequence > 0),
    merchant_id uuid not null,
    returns integer not null check (returns > 0),
    window_days integer not null,
    told_at timestamptz not null,
    until_at timestamptz not null,
    primary key (tenant_id, customer_id, sequence)
);

do $$
declare
    guarded text;
begin
    foreach guarded in array array[
        'thresholds', 'threshold_versions', 'threshold_intervals', 'threshold_progress', 'threshold_marks', 'threshold_outcomes',
        'threshold_spent', 'return_signals'
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
grant select, insert on thresholds, threshold_versions, threshold_intervals, threshold_progress, threshold_marks, threshold_outcomes,
threshold_spent, return_signals to tallystick_app;
grant update on thresholds, threshold_intervals, threshold_progress, threshold_marks, threshold_outcomes, threshold_spent to tallystick_app;
-- A published version stays as it was: only a draft is written again, and that as a whole.
grant update, delete on threshold_versions to tallystick_app;
grant select on thresholds, threshold_versions, threshold_intervals, threshold_progress, threshold_marks, threshold_outcomes,
threshold_spent, return_signals to tallystick_auditor;

-- migrate: rollback
