-- Claim idempotency keys and tills' references, each given once; those that earlier requests hold come back. The row of a reference
-- is the lock that a payment and its reversal share: whoever comes second waits for the insert, and the statement after it reads
-- what the first one left.
create or replace function payments_claim(
    _tenant_id uuid, _now timestamptz, _real_now timestamptz, _operation text,
    _partners uuid[], _keys text[], _fingerprints bytea[], _resources uuid[],
    _referring uuid[], _places uuid[], _references text[], _intents uuid[],
    out taken json, out referenced json
)
language plpgsql
as $$
declare
    made int;
begin
    if cardinality(_keys) > 0 then
        select json_agg(json_build_array(k.partner_id, k.key, encode(k.fingerprint, 'base64'), k.resource_id)) into taken
        from keys_claim(_tenant_id, _real_now, _operation, 201::smallint, _partners, _keys, _fingerprints, _resources) as k;
    end if;
    if cardinality(_references) = 0 then
        return;
    end if;
    insert into till_references as kept (tenant_id, partner_id, merchant_id, reference, intent_id, created_at)
    select _tenant_id, fresh.partner_id, fresh.merchant_id, fresh.reference, fresh.intent_id, _now
    from unnest(_referring, _places, _references, _intents) as fresh (partner_id, merchant_id, reference, intent_id)
    order by fresh.partner_id, fresh.merchant_id, fresh.reference
    on conflict on constraint till_references_pkey do nothing;
    get diagnostics made = row_count;
    if made < cardinality(_references) then
        select json_agg(
            json_build_array(kept.partner_id, kept.merchant_id, kept.reference, kept.intent_id, kept.reversed_at is not null)
        ) into referenced
        from till_references as kept
        where kept.tenant_id = _tenant_id and kept.partner_id = any(_referring) and kept.merchant_id = any(_places)
            and kept.reference = any(_references) and (kept.intent_id is null or kept.intent_id <> all(_intents));
    end if;
end
$$;

-- Everything that authorising payments must know, in one round trip and in the one order of locks: keys, references, the days that
-- are counted, wallets, gift cards, accounts. Each statement below a lock is a statement of its own, so that it sees what it waited
-- for. The lots of a wallet or a card are found under its lock, and locked together with the accounts that are credited.
create or replace function payments_look(
    _tenant_id uuid, _now timestamptz, _real_now timestamptz, _operation text,
    _partners uuid[], _keys text[], _fingerprints bytea[], _resources uuid[],
    _referring uuid[], _places uuid[], _references text[], _intents uuid[],
    _merchants uuid[], _kinds text[], _sources uuid[], _homes uuid[], _cards uuid[], _payable uuid[],
    out taken json, out referenced json, out merchants json, out terms json, out days json, out wallets json, out cards json,
    out lots json
)
language plpgsql
as $$
declare
    counted_subjects uuid[];
    counted_days date[];
    touched uuid[];
begin
    select c.taken, c.referenced into taken, referenced
    from payments_claim(
        _tenant_id, _now, _real_now, _operation, _partners, _keys, _fingerprints, _resources,
        _referring, _places, _references, _intents
    ) as c;

    select json_agg(json_build_object('id', m.id, 'status', m.status, 'currency', m.currency,
        'day', (_now at time zone m.time_zone)::date))
    into merchants
    from merchants as m
    where m.tenant_id = _tenant_id and m.id = any(_merchants);

    select json_agg(row_to_json(t)) into terms
    from spending_terms as t
    where t.tenant_id = _tenant_id and t.merchant_id = any(_merchants);

    select array_agg(counted.subject_id), array_agg(counted.day) into counted_subjects, counted_days
    from (
        select s.subject_id, (_now at time zone m.time_zone)::date as day
        from spending_terms as t
        join merchants as m on m.tenant_id = _tenant_id and m.id = t.merchant_id
        cross join lateral (
            select t.merchant_id as subject_id where t.merchant_day_maximum is not null
            union
            select source.id
            from unnest(_kinds, _sources, _homes) as source (kind, id, merchant_id)
            where source.merchant_id = t.merchant_id and case source.kind
                when 'wallet' then t.wallet_day_maximum is not null or t.wallet_day_count is not null
                else t.card_day_maximum is not null or t.card_day_count is not null
            end
        ) as s
        where t.tenant_id = _tenant_id and t.merchant_id = any(_merchants)
    ) as counted;

    if counted_subjects is not null then
        insert into spending_days as kept (tenant_id, subject_id, day)
        select _tenant_id, fresh.subject_id, fresh.day
        from unnest(counted_subjects, counted_days) as fresh (subject_id, day)
        order by fresh.subject_id, fresh.day
        on conflict on constraint spending_days_pkey do nothing;

        select json_agg(json_build_array(d.subject_id, d.day, d.count, d.amount)) into days
        from (
            select locked.subject_id, locked.day, locked.count, locked.amount
            from spending_days as locked
            where locked.tenant_id = _tenant_id and locked.subject_id = any(counted_subjects) and locked.day = any(counted_days)
            order by locked.subject_id, locked.day
            for update
        ) as d;
    end if;

    select json_agg(json_build_array(w.id, w.merchant_id, w.status)) into wallets
    from (
        select locked.id, locked.merchant_id, locked.status
        from wallets as locked
        where locked.tenant_id = _tenant_id and locked.id = any(_sources)
        order by locked.id
        for update
    ) as w;

    if cardinality(_cards) > 0 then
        select json_agg(json_build_array(c.id, c.merchant_id, c.status, c.expires_at)) into cards
        from (
            select locked.id, locked.merchant_id, locked.status, locked.expires_at
            from gift_cards as locked
            where locked.tenant_id = _tenant_id and locked.id = any(_cards)
            order by locked.id
            for update
        ) as c;
    end if;

    select array_agg(a.id) into touched
    from accounts as a
    where a.tenant_id = _tenant_id and a.parent_id = any(_sources) and a.lot_class is not null and a.balance > 0;

    select json_agg(json_build_object('id', l.id, 'parent_id', l.parent_id, 'merchant_id', l.merchant_id,
        'currency', l.currency, 'lot_class', l.lot_class, 'funder_id', l.funder_id, 'expires_at', l.expires_at,
        'available', l.balance - l.held, 'held', l.held)) filter (where l.parent_id is not null)
    into lots
    from (
        select locked.id, locked.parent_id, locked.merchant_id, locked.currency, locked.lot_class, locked.funder_id,
            locked.expires_at, locked.balance, locked.held
        from accounts as locked
        where locked.tenant_id = _tenant_id and locked.id = any(touched || _payable)
        order by locked.id
        for update
    ) as l;
end
$$;
