-- Wrong PINs of gift cards, counted apart from the cards: their rows are locked before wallets and cards are.
-- depends: 0009_holders

-- migrate: apply

set local lock_timeout = '2s';
set local statement_timeout = '60s';

-- class: tenant
-- Wrong PINs of a card since the right one or the last lock, how many locks count, and until when (real time) the last one holds.
create table card_pin_tries (
    tenant_id uuid not null,
    card_id uuid not null,
    wrong integer not null default 0 check (wrong >= 0),
    locks integer not null default 0 check (locks >= 0),
    locked_until timestamptz,
    primary key (tenant_id, card_id)
) with (fillfactor = 50);

do $$
declare
    guarded text;
begin
    foreach guarded in array array['card_pin_tries'] loop
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
grant select on card_pin_tries to tallystick_app, tallystick_auditor;
grant insert, update on card_pin_tries to tallystick_app;

-- migrate: rollback
