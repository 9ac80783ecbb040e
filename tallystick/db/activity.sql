-- Landing activity. Replaceable: applied whole by every migrate.

-- The least UUIDv7 that can be made at an instant: months of ids are partitions.
create or replace function uuid_floor(_at timestamptz) returns uuid
language sql immutable parallel safe
return (lpad(to_hex(floor(extract(epoch from _at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid;

-- Everything that landing activity must know, in one round trip and in the one order of locks: names, then what refunds take back,
-- then quotas. Each name is given once; its id is null where it is only referred to, and `_referred` says whether it is. What comes
-- back of names speaks of them by number. Each statement below a lock is one of its own, so that it sees what it waited for.
create or replace function activity_look(
    _tenant_id uuid, _now timestamptz,
    _sources text[], _source_ids text[], _partners uuid[], _ids uuid[], _fingerprints bytea[], _referred boolean[],
    _merchants uuid[], _locations uuid[],
    _givers uuid[], _metrics text[], _asked bigint[],
    out taken json, out purchases json, out merchants json, out locations json, out quotas json
)
language plpgsql
as $$
declare
    made int;
    wanted uuid[];
begin
    if cardinality(_sources) = 1 then
        _sources := array_fill(_sources[1], array[cardinality(_source_ids)]);
    end if;
    if cardinality(_partners) = 1 then
        _partners := array_fill(_partners[1], array[cardinality(_source_ids)]);
    end if;
    if cardinality(_referred) = 1 then
        _referred := array_fill(_referred[1], array[cardinality(_source_ids)]);
    end if;

    insert into activity_keys as kept (tenant_id, source, source_id, partner_id, activity_id, fingerprint)
    select _tenant_id, fresh.source, fresh.source_id, fresh.partner_id, fresh.id, fresh.fingerprint
    from unnest(_sources, _source_ids, _partners, _ids, _fingerprints) as fresh (source, source_id, partner_id, id, fingerprint)
    order by fresh.source collate "C", fresh.source_id collate "C"
    on conflict on constraint activity_keys_pkey do nothing;
    get diagnostics made = row_count;

    if made < cardinality(_sources) then
        -- What only something else has referred to yet is the lock that both share.
        perform 1
        from (
            select named.source, named.source_id
            from unnest(_sources, _source_ids) as named (source, source_id)
            order by named.source collate "C", named.source_id collate "C"
        ) as named
        cross join lateral (
            select 1
            from activity_keys as kept
            where kept.tenant_id = _tenant_id and kept.source = named.source and kept.source_id = named.source_id
                and kept.activity_id is null
            for update
        ) as locked;

        select json_agg(json_build_array(named.number - 1, kept.partner_id, kept.activity_id, encode(kept.fingerprint, 'base64'))),
            array_agg(distinct kept.activity_id) filter (where named.referred and kept.activity_id is not null)
        into taken, wanted
        from unnest(_sources, _source_ids, _ids, _referred) with ordinality as named (source, source_id, id, referred, number)
        cross join lateral (
            select held.partner_id, held.activity_id, held.fingerprint
            from activity_keys as held
            where held.tenant_id = _tenant_id and held.source = named.source and held.source_id = named.source_id
            offset 0  -- a fence: found by name, whatever the statistics of a young table say
        ) as kept
        where kept.activity_id is distinct from named.id;
    end if;

    if wanted is not null then
        select json_agg(row_to_json(locked)) into purchases
        from (select one.id from unnest(wanted) as one (id) order by one.id) as one
        cross join lateral (
            select a.id, a.type, a.merchant_id, a.currency, a.customer_id, a.attribution, a.returned_amount, a.returned_units,
                a.voided
            from activities as a
            where a.tenant_id = _tenant_id and a.id = one.id
            for update
        ) as locked;
    end if;

    select q.agreed into quotas from quotas_look(_tenant_id, _now, _givers, _metrics, _asked) as q;

    select json_agg(json_build_object('id', shop.id, 'currency', shop.currency,
            'attribution', coalesce(terms.attribution, 'immediate'), 'release_after_days', terms.release_after_days)) into merchants
    from merchants as shop
    left join activity_terms as terms on terms.tenant_id = shop.tenant_id and terms.merchant_id = shop.id
    where shop.tenant_id = _tenant_id and shop.id = any(_merchants);

    if cardinality(_locations) > 0 then
        select json_agg(json_build_array(place.id, place.merchant_id)) into locations
        from locations as place
        where place.tenant_id = _tenant_id and place.id = any(_locations);
    end if;
end
$$;

-- What waited for these names: the refunds and voids are locked by id and come back; they wait no more.
create or replace function activity_waits_take(_tenant_id uuid, _sources text[], _source_ids text[], out waited json)
language plpgsql
as $$
declare
    ended uuid[];
begin
    with gone as (
        delete from activity_waits as w
        using unnest(_sources, _source_ids) as named (source, source_id)
        where w.tenant_id = _tenant_id and w.source = named.source and w.source_id = named.source_id
            and w.source = any(_sources) and w.source_id = any(_source_ids)
        returning w.activity_id
    )
    select array_agg(gone.activity_id order by gone.activity_id) into ended from gone;
    if ended is null then
        return;
    end if;
    select json_agg(row_to_json(locked)) into waited
    from unnest(ended) as one (id)
    cross join lateral (
        select a.id, a.type, a.merchant_id, a.currency, a.attribution, a.amount, a.units, a.source, a.linked_source_id,
            a.voided
        from activities as a
        where a.tenant_id = _tenant_id and a.id = one.id
        for update
    ) as locked;
end
$$;

-- Names that are given back, since what they stood for was refused; what something waits for stays as the lock of the two.
create or replace function activity_names_drop(_tenant_id uuid, _sources text[], _source_ids text[], _ids uuid[]) returns void
language plpgsql
as $$
begin
    update activity_keys as k
    set activity_id = null, fingerprint = null
    from unnest(_sources, _source_ids, _ids) as refused (source, source_id, id)
    where k.tenant_id = _tenant_id and k.source = refused.source and k.source_id = refused.source_id
        and k.source = any(_sources) and k.source_id = any(_source_ids) and k.activity_id = refused.id;
    delete from activity_keys as k
    using unnest(_sources, _source_ids) as refused (source, source_id)
    where k.tenant_id = _tenant_id and k.source = refused.source and k.source_id = refused.source_id
        and k.source = any(_sources) and k.source_id = any(_source_ids) and k.activity_id is null
        and not exists (
            select from activity_waits as w
            where w.tenant_id = _tenant_id and w.source = refused.source and w.source_id = refused.source_id
        );
end
$$;
