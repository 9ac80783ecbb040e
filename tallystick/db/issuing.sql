-- Claim idempotency keys, each given once; the rows of keys that earlier requests hold come back. A twin that raced is waited for
-- by the insert, and read by the statement after it.
create or replace function keys_claim(
    _tenant_id uuid, _now timestamptz, _operation text, _status smallint,
    _partners uuid[], _keys text[], _fingerprints bytea[], _resources uuid[]
) returns table (partner_id uuid, key text, fingerprint bytea, resource_id uuid, status smallint, answer_sealed bytea)
language plpgsql
as $$
declare
    made int;
begin
    insert into idempotency_keys as kept (
        tenant_id, partner_id, operation, key, fingerprint, resource_id, status, created_at
    )
    select _tenant_id, fresh.partner_id, _operation, fresh.key, fresh.fingerprint, fresh.resource_id, _status, _now
    from unnest(_partners, _keys, _fingerprints, _resources) as fresh (partner_id, key, fingerprint, resource_id)
    order by fresh.partner_id, fresh.key
    on conflict on constraint idempotency_keys_pkey do nothing;
    get diagnostics made = row_count;
    if made < cardinality(_keys) then
        return query
        select kept.partner_id, kept.key, kept.fingerprint, kept.resource_id, kept.status, kept.answer_sealed
        from idempotency_keys as kept
        where kept.tenant_id = _tenant_id and kept.partner_id = any(_partners) and kept.operation = _operation
            and kept.key = any(_keys) and kept.resource_id <> all(_resources);
    end if;
end
$$;

-- Lock the recipients of phones in index order, making those that nobody knows yet. Locking comes first, so that whoever
-- waits here waits in the same order as everyone; the last statement sees whom others made meanwhile.
create or replace function recipients_lock(
    _tenant_id uuid, _now timestamptz, _indexes bytea[], _ids uuid[], _wrapped bytea[], _sealed bytea[]
) returns table (phone_index bytea, id uuid, key_wrapped bytea)
language plpgsql
as $$
declare
    known int;
begin
    perform 1
    from recipients as person
    where person.tenant_id = _tenant_id and person.phone_index = any(_indexes)
    order by person.phone_index
    for update;
    get diagnostics known = row_count;
    if known < cardinality(_indexes) then
        insert into recipients as person (tenant_id, phone_index, id, key_wrapped, phone_sealed, created_at)
        select _tenant_id, fresh.phone_index, fresh.id, fresh.key_wrapped, fresh.phone_sealed, _now
        from unnest(_indexes, _ids, _wrapped, _sealed) as fresh (phone_index, id, key_wrapped, phone_sealed)
        order by fresh.phone_index
        on conflict on constraint recipients_pkey do nothing;
    end if;
    return query
    select person.phone_index, person.id, person.key_wrapped
    from recipients as person
    where person.tenant_id = _tenant_id and person.phone_index = any(_indexes)
    order by person.phone_index
    for update;
end
$$;

-- What quotas bound the metrics of these partners at an instant, and how much of them is used: null where nobody has any. `_asked` is
-- the most that the work may take. Far from a limit nothing is locked: the count at the work's end checks again. Whoever comes near
-- one waits here for the others who do, and reads again what they left.
create or replace function quotas_look(
    _tenant_id uuid, _now timestamptz, _partners uuid[], _metrics text[], _asked bigint[], out agreed json
)
language plpgsql
as $$
declare
    bound uuid[];
    near uuid[];
    lines json;
    used json;
begin
    select array_agg(head.partner_id) into bound
    from agreement_heads as head
    where head.tenant_id = _tenant_id and head.partner_id = any(_partners);
    if bound is null then
        return;
    end if;
    for look in 1 .. 2 loop
        select json_agg(json_build_array(u.id, u.used)),
            array_agg(u.partner_id) filter (where u.used < u.most and u.used + wanted.asked > u.most - u.most / 16)
        into used, near
        from unnest(_partners, _metrics, _asked) as wanted (partner_id, metric, asked)
        cross join lateral (
            select running.id, running.partner_id, running.used, running.most
            from quota_usage as running
            where running.tenant_id = _tenant_id and running.partner_id = wanted.partner_id and running.period_end > _now
                and running.metric = wanted.metric
            offset 0  -- a fence: found by partner and period, whatever the statistics of a young table say
        ) as u;
        exit when near is null or look = 2;
        perform 1
        from agreement_heads as head
        where head.tenant_id = _tenant_id and head.partner_id = any(near)
        order by head.partner_id
        for update;
    end loop;
    select json_agg(json_build_array(l.id, l.partner_id, l.metric, l.currency, l.period, l.time_zone, l.included, l.beyond, l.cap,
        l.unit_price, l.per, l.price_currency)) into lines
    from unnest(bound) as of_partner (id)
    cross join lateral (
        select t.version
        from agreement_terms as t
        where t.tenant_id = _tenant_id and t.partner_id = of_partner.id and t.effective_from <= _now
        order by t.version desc
        limit 1
    ) as in_force
    cross join lateral (
        select q.id, q.partner_id, q.metric, q.currency, q.period, q.time_zone, q.included, q.beyond, q.cap, q.unit_price, q.per,
            q.price_currency
        from quota_lines as q
        where q.tenant_id = _tenant_id and q.partner_id = of_partner.id and q.version = in_force.version
        offset 0  -- a fence, as above
    ) as l
    where l.metric = any(_metrics);
    agreed := json_build_array(lines, used);
end
$$;

-- Everything that issuing rewards must know, in one round trip and in the one order of locks: keys, recipients, quotas, accounts. Each
-- statement below a lock is a statement of its own, so that it sees what it waited for.
create or replace function rewards_look(
    _tenant_id uuid, _now timestamptz, _real_now timestamptz, _operation text,
    _partners uuid[], _keys text[], _fingerprints bytea[], _resources uuid[],
    _indexes bytea[], _ids uuid[], _wrapped bytea[], _sealed bytea[], _merchants uuid[],
    _givers uuid[], _metrics text[], _asked bigint[],
    out taken json, out recipient_indexes bytea[], out recipient_ids uuid[], out recipient_keys bytea[],
    out merchants json, out wallets json, out waiting json, out accounts json, out quotas json
)
language plpgsql
as $$
declare
    paying uuid[];
    owing uuid[];
begin
    select json_agg(json_build_array(k.partner_id, k.key, encode(k.fingerprint, 'base64'), k.resource_id)) into taken
    from keys_claim(_tenant_id, _real_now, _operation, 200::smallint, _partners, _keys, _fingerprints, _resources) as k;

    select array_agg(p.phone_index), array_agg(p.id), array_agg(p.key_wrapped)
    into recipient_indexes, recipient_ids, recipient_keys
    from recipients_lock(_tenant_id, _now, _indexes, _ids, _wrapped, _sealed) as p;

    select q.agreed into quotas from quotas_look(_tenant_id, _now, _givers, _metrics, _asked) as q;

    select json_agg(row_to_json(m)), array_agg(
        case m.funding_mode when 'invoiced' then m.receivable_account_id else m.prefund_account_id end
    ) into merchants, paying
    from merchants as m
    where m.tenant_id = _tenant_id and m.id = any(_merchants);

    select json_agg(json_build_object('recipient_id', c.recipient_id, 'merchant_id', w.merchant_id, 'wallet_id', w.id,
            'status', w.status, 'owed_account_id', w.owed_account_id, 'currency', w.currency)),
        array_agg(w.owed_account_id) filter (where w.owed_account_id is not null)
    into wallets, owing
    from customers as c
    cross join lateral (
        select held.merchant_id, held.id, held.status, held.owed_account_id, held.currency
        from wallets as held
        where held.tenant_id = _tenant_id and held.customer_id = c.id and held.status <> 'closed'
        offset 0  -- a fence: wallets are found by their customer, whatever the statistics of a young table say
    ) as w
    where c.tenant_id = _tenant_id and c.recipient_id = any(recipient_ids) and c.status = 'active'
        and w.merchant_id = any(_merchants);

    select json_agg(json_build_array(r.partner_id, r.merchant_id, r.recipient_id)) into waiting
    from (
        select mine.partner_id, mine.merchant_id, mine.recipient_id, mine.claim_expires_at
        from rewards as mine
        where mine.tenant_id = _tenant_id and mine.recipient_id = any(recipient_ids) and mine.status = 'Created'
        offset 0  -- a fence: found by recipient, and only then looked at by deadline
    ) as r
    where r.claim_expires_at > _now;

    select json_agg(json_build_array(a.id, a.floor, a.balance, a.held)) into accounts
    from (
        select locked.id, locked.floor, locked.balance, locked.held
        from accounts as locked
        where locked.tenant_id = _tenant_id and locked.id = any(paying || owing)
        order by locked.id
        for update
    ) as a;
end
$$;
