-- Moving progress. Replaceable: applied whole by every migrate.

-- What the versions in force at an instant want of progress.
create or replace function thresholds_live(_tenant_id uuid, _now timestamptz, _thresholds uuid[]) returns table (
    threshold_id uuid, targets bigint[], repeat text
)
language sql stable
as $$
    select i.threshold_id, v.targets, v.repeat
    from unnest(_thresholds) as wanted (id)
    cross join lateral (
        select held.threshold_id, held.number
        from threshold_intervals as held
        where held.tenant_id = _tenant_id and held.threshold_id = wanted.id and held.from_at <= _now
            and (held.until_at is null or held.until_at > _now)
        offset 0  -- a fence: found by key, whatever the statistics of a young table say
    ) as i
    cross join lateral (
        select said.targets, said.repeat
        from threshold_versions as said
        where said.tenant_id = _tenant_id and said.threshold_id = i.threshold_id and said.number = i.number
        offset 0  -- a fence, as above
    ) as v
$$;

-- What moves of activities come to for every version that was in force when they happened: one row for each activity and version that
-- it matters to. Each activity is read once, by its key. `mark` is null for what adds up without marks. Of states, amounts and units
-- that all moves have alike only one is given.
create or replace function thresholds_moves(
    _tenant_id uuid, _activities uuid[], _before_states text[], _before_amounts bigint[], _before_units bigint[],
    _after_states text[], _after_amounts bigint[], _after_units bigint[], _only_marks boolean
) returns table (
    threshold_id uuid, customer_id uuid, merchant_id uuid, window_start timestamptz, number integer, marking boolean, mark text,
    activity_id uuid, location_id uuid, occurred_at timestamptz, counted bigint, pending bigint
)
language sql stable
set enable_mergejoin = off
set enable_nestloop = off  -- but for what is found by its key; there may be many rules
as $$
    with moves as materialized (
        select coalesce(m.before_state, _before_states[1]) as before_state, coalesce(m.before_amount, _before_amounts[1]) as before_amount,
            coalesce(m.before_units, _before_units[1]) as before_units, coalesce(m.after_state, _after_states[1]) as after_state,
            coalesce(m.after_amount, _after_amounts[1]) as after_amount, coalesce(m.after_units, _after_units[1]) as after_units, a.id,
            a.merchant_id, a.customer_id, a.kind, a.type, a.occurred_at, a.channel, a.location_id, a.currency, a.amount, a.tax, a.units, a.categories,
            a.category_amounts, a.category_taxes, a.category_units, a.methods, a.method_amounts, l.time_zone as zone, l.groups
        from unnest(
            _activities, _before_states, _before_amounts, _before_units, _after_states, _after_amounts, _after_units
        ) as m (id, before_state, before_amount, before_units, after_state, after_amount, after_units)
        cross join lateral (
            select held.id, held.merchant_id, held.customer_id, held.kind, held.type, held.occurred_at, held.channel,
                held.location_id, held.currency, held.amount, held.tax, held.units, held.categories, held.category_amounts,
                held.category_taxes, held.category_units, held.methods, held.method_amounts
            from activities as held
            where held.tenant_id = _tenant_id and held.id = m.id
            offset 0  -- a fence: found by key, whatever the statistics of a young table say
        ) as a
        left join lateral (
            select place.time_zone, place.groups
            from locations as place
            where place.tenant_id = _tenant_id and place.id = a.location_id
            offset 0  -- a fence, as above
        ) as l on true
        where a.customer_id is not null
    ),
    rules as materialized (
        select i.merchant_id, i.from_at, coalesce(i.until_at, 'infinity') as until_at, v.threshold_id, v.number, v.metric, v.window_kind,
            v.window_period, v.time_zone, v.marking, v.rule
        from threshold_intervals as i
        cross join lateral (
            select held.threshold_id, held.number, held.metric, held.window_kind, held.window_period, held.time_zone,
                held.window_kind = 'rolling' or held.metric in ('distinctDays', 'distinctLocations') as marking, held as rule
            from threshold_versions as held
            where held.tenant_id = _tenant_id and held.threshold_id = i.threshold_id and held.number = i.number
            offset 0  -- a fence, as above
        ) as v
        where i.tenant_id = _tenant_id and i.merchant_id = any(array(select distinct m.merchant_id from moves as m))
            and (v.marking or not _only_marks)
    )
    select w.threshold_id, w.customer_id, w.merchant_id, w.window_start, w.number, w.marking, w.mark, w.id, w.location_id,
        w.occurred_at,
        case w.after_state when 'counted' then w.after_worth else 0 end - case w.before_state when 'counted' then w.before_worth else 0 end,
        case w.after_state when 'pending' then w.after_worth else 0 end - case w.before_state when 'pending' then w.before_worth else 0 end
    from (
        select m.id, m.customer_id, m.merchant_id, m.location_id, m.occurred_at, m.before_state, m.after_state, r.threshold_id, r.number,
            r.marking, threshold_window(r.window_kind, r.window_period, r.time_zone, m.occurred_at) as window_start,
            case
                when not r.marking then null
                when r.metric = 'distinctLocations' then m.location_id::text
                else (m.occurred_at at time zone coalesce(m.zone, r.time_zone))::date::text
            end as mark,
            case m.before_state
                when 'absent' then 0
                else threshold_worth(
                    r.rule, s.share, m.amount, m.units, m.categories, m.category_units, m.location_id, m.before_amount, m.before_units
                )
            end as before_worth,
            case m.after_state
                when 'absent' then 0
                else threshold_worth(
                    r.rule, s.share, m.amount, m.units, m.categories, m.category_units, m.location_id, m.after_amount, m.after_units
                )
            end as after_worth
        from moves as m
        join rules as r on r.merchant_id = m.merchant_id and r.from_at <= m.occurred_at and r.until_at > m.occurred_at
        cross join lateral (
            select threshold_share(
                r.rule, m.amount, m.tax, m.categories, m.category_amounts, m.category_taxes, m.methods, m.method_amounts
            ) as share
            offset 0  -- reckoned once
        ) as s
        where threshold_unmet(
            r.rule, m.type, m.kind, m.currency, m.occurred_at, m.location_id, m.channel, m.categories, m.zone, m.groups
        ) is null
        offset 0  -- reckoned once
    ) as w
    where w.after_worth <> w.before_worth or w.after_state <> w.before_state and w.after_worth <> 0
$$;

-- Move progress by activities whose standing changed, for every version that was in force when they happened. The rows of progress are
-- locked in the order of threshold, customer and window; where marks decide, the row is the lock of its marks. Answers what moved; only
-- what crossed a step, or fell below one that was settled, unless `_all`.
create or replace function thresholds_advance(
    _tenant_id uuid, _now timestamptz, _activities uuid[], _before_states text[], _before_amounts bigint[], _before_units bigint[],
    _after_states text[], _after_amounts bigint[], _after_units bigint[], _all boolean
) returns table (
    threshold_id uuid, customer_id uuid, merchant_id uuid, window_start timestamptz, number integer, before bigint,
    current bigint, pending bigint, activity_id uuid, location_id uuid, reached bigint, crossed boolean
)
language plpgsql
set enable_mergejoin = off
set enable_nestloop = off  -- but for what is found by its key; what one batch moves is many rows
as $$
#variable_conflict use_column
begin
    return query
    with summed as materialized (
        select w.threshold_id, w.customer_id, w.window_start, w.merchant_id, max(w.number) as number,
            case when w.marking then 0 else sum(w.counted)::bigint end as counted,
            case when w.marking then 0 else sum(w.pending)::bigint end as pending,
            (array_agg(w.activity_id order by w.occurred_at desc, w.activity_id))[1] as activity_id,
            (array_agg(w.location_id order by w.occurred_at desc, w.activity_id))[1] as location_id
        from thresholds_moves(
            _tenant_id, _activities, _before_states, _before_amounts, _before_units, _after_states, _after_amounts, _after_units,
            false
        ) as w
        group by w.threshold_id, w.customer_id, w.window_start, w.merchant_id, w.marking
        having w.marking or sum(w.counted) <> 0 or sum(w.pending) <> 0
        order by w.threshold_id, w.customer_id, w.window_start
    ),
    moved as (
        insert into threshold_progress as p (
            tenant_id, threshold_id, customer_id, window_start, id, merchant_id, current, pending, number, moved, created_at,
            updated_at
        )
        select _tenant_id, s.threshold_id, s.customer_id, s.window_start,
            threshold_progress_id(s.threshold_id, s.customer_id, s.window_start), s.merchant_id, s.counted, s.pending, s.number,
            case when s.counted = 0 and s.pending = 0 then 0 else 1 end, _now, _now
        from summed as s
        on conflict on constraint threshold_progress_pkey do update
        set current = p.current + excluded.current, pending = p.pending + excluded.pending,
            number = greatest(p.number, excluded.number), moved = p.moved + 1, updated_at = excluded.updated_at
        where excluded.moved > 0  -- what only marks decide is locked, and not written
        returning p.threshold_id, p.customer_id, p.window_start, p.merchant_id, p.number, p.current, p.pending, p.reached
    ),
    live as materialized (
        select l.threshold_id, l.targets, l.repeat
        from thresholds_live(_tenant_id, _now, array(select distinct s.threshold_id from summed as s)) as l
    )
    select moved.threshold_id, moved.customer_id, moved.merchant_id, moved.window_start, moved.number,
        moved.current - s.counted, moved.current, moved.pending, s.activity_id, s.location_id, moved.reached,
        threshold_crossed(live.targets, live.repeat, moved.reached, moved.current)
    from moved
    join summed as s
        on s.threshold_id = moved.threshold_id and s.customer_id = moved.customer_id and s.window_start = moved.window_start
    left join live on live.threshold_id = moved.threshold_id
    where (s.counted <> 0 or s.pending <> 0)
        and (_all or threshold_crossed(live.targets, live.repeat, moved.reached, moved.current));

    if exists (
        select from threshold_versions as v
        where v.tenant_id = _tenant_id and (v.window_kind = 'rolling' or v.metric in ('distinctDays', 'distinctLocations'))
    ) then
        return query
        select m.threshold_id, m.customer_id, m.merchant_id, m.window_start, m.number, m.before, m.current, m.pending, m.activity_id,
            m.location_id, m.reached, m.crossed
        from thresholds_mark(
            _tenant_id, _now, _activities, _before_states, _before_amounts, _before_units, _after_states, _after_amounts, _after_units,
            _all
        ) as m;
    end if;
end
$$;

-- The same for what counts different days or places, and for windows that roll: marks are moved, and progress by what they amount to.
-- The rows of progress are there and locked, and with them their marks.
create or replace function thresholds_mark(
    _tenant_id uuid, _now timestamptz, _activities uuid[], _before_states text[], _before_amounts bigint[], _before_units bigint[],
    _after_states text[], _after_amounts bigint[], _after_units bigint[], _all boolean
) returns table (
    threshold_id uuid, customer_id uuid, merchant_id uuid, window_start timestamptz, number integer, before bigint,
    current bigint, pending bigint, activity_id uuid, location_id uuid, reached bigint, crossed boolean
)
language plpgsql
set enable_mergejoin = off
set enable_nestloop = off  -- as above
as $$
#variable_conflict use_column
declare
    _thresholds uuid[];
    _customers uuid[];
    _windows timestamptz[];
    _numbers integer[];
    _latest uuid[];
    _places uuid[];
    _marks bigint[];
    _marks_pending bigint[];
    _amounts_pending bigint[];
    _firsts text[];
    _lasts text[];
begin
    with worth as materialized (
        select w.threshold_id, w.customer_id, w.window_start, w.number, w.mark, w.activity_id, w.location_id, w.occurred_at, w.counted,
            w.pending
        from thresholds_moves(
            _tenant_id, _activities, _before_states, _before_amounts, _before_units, _after_states, _after_amounts, _after_units,
            true
        ) as w
    ),
    by_mark as materialized (
        select w.threshold_id, w.customer_id, w.window_start, w.mark, sum(w.counted)::bigint as counted, sum(w.pending)::bigint as pending
        from worth as w
        group by w.threshold_id, w.customer_id, w.window_start, w.mark
        having sum(w.counted) <> 0 or sum(w.pending) <> 0
        order by w.threshold_id, w.customer_id, w.window_start, w.mark
    ),
    marked as (
        insert into threshold_marks as k (tenant_id, threshold_id, customer_id, window_start, mark, counted, pending)
        select _tenant_id, m.threshold_id, m.customer_id, m.window_start, m.mark, m.counted, m.pending
        from by_mark as m
        on conflict on constraint threshold_marks_pkey do update
        set counted = k.counted + excluded.counted, pending = k.pending + excluded.pending
        returning k.threshold_id, k.customer_id, k.window_start, k.mark, k.counted, k.pending
    ),
    places as (
        select a.threshold_id, a.customer_id, a.window_start, sum(b.pending)::bigint as amount_pending,
            sum((a.counted > 0)::integer - (a.counted > b.counted)::integer)::bigint as marks,
            sum((a.counted = 0 and a.pending > 0)::integer - (a.counted = b.counted and a.pending > b.pending)::integer)::bigint
            as marks_pending,
            min(a.mark) as first_mark, max(a.mark) as last_mark, bool_or(b.counted < 0) as falls
        from marked as a
        join by_mark as b
            on b.threshold_id = a.threshold_id and b.customer_id = a.customer_id and b.window_start = a.window_start and b.mark = a.mark
        group by a.threshold_id, a.customer_id, a.window_start
    ),
    latest as (
        select w.threshold_id, w.customer_id, w.window_start, max(w.number) as number,
            (array_agg(w.activity_id order by w.occurred_at desc, w.activity_id))[1] as activity_id,
            (array_agg(w.location_id order by w.occurred_at desc, w.activity_id))[1] as location_id
        from worth as w
        group by w.threshold_id, w.customer_id, w.window_start
    )
    select array_agg(p.threshold_id), array_agg(p.customer_id), array_agg(p.window_start), array_agg(l.number),
        array_agg(l.activity_id), array_agg(l.location_id), array_agg(p.marks), array_agg(p.marks_pending),
        array_agg(p.amount_pending), array_agg(case when not p.falls then p.first_mark end),
        array_agg(case when not p.falls then p.last_mark end)
    into _thresholds, _customers, _windows, _numbers, _latest, _places, _marks, _marks_pending, _amounts_pending, _firsts, _lasts
    from places as p
    join latest as l
        on l.threshold_id = p.threshold_id and l.customer_id = p.customer_id and l.window_start = p.window_start;
    if _thresholds is null then
        return;
    end if;

    -- In a window that rolls the best stretch is sought anew: only around the days that gained, where none lost and the rule is the same.
    return query
    with wanted as materialized (
        select n.threshold_id, n.customer_id, n.window_start, n.activity_id, n.location_id, n.marks, p.merchant_id, p.reached,
            p.current as before, greatest(p.number, n.number) as number, v.metric, v.window_days as days,
            p.pending + case when v.metric in ('distinctDays', 'distinctLocations') then n.marks_pending else n.amount_pending end
            as pending,
            case when n.number <= p.number and v.window_days is not null then n.first_mark::date - v.window_days + 1 end as first_day,
            case when n.number <= p.number and v.window_days is not null then n.last_mark::date + v.window_days - 1 end as last_day
        from unnest(
            _thresholds, _customers, _windows, _numbers, _latest, _places, _marks, _marks_pending, _amounts_pending, _firsts, _lasts
        ) as n (
            threshold_id, customer_id, window_start, number, activity_id, location_id, marks, marks_pending, amount_pending,
            first_mark, last_mark
        )
        cross join lateral (
            select held.merchant_id, held.current, held.pending, held.reached, held.number
            from threshold_progress as held
            where held.tenant_id = _tenant_id and held.threshold_id = n.threshold_id and held.customer_id = n.customer_id
                and held.window_start = n.window_start
            offset 0  -- a fence: found by key, whatever the statistics of a young table say
        ) as p
        cross join lateral (
            select said.metric, said.window_days
            from threshold_versions as said
            where said.tenant_id = _tenant_id and said.threshold_id = n.threshold_id
                and said.number = greatest(p.number, n.number)
            offset 0  -- a fence, as above
        ) as v
    ),
    moved as (
        insert into threshold_progress as p (
            tenant_id, threshold_id, customer_id, window_start, id, merchant_id, current, pending, number, created_at, updated_at
        )
        select _tenant_id, w.threshold_id, w.customer_id, w.window_start,
            threshold_progress_id(w.threshold_id, w.customer_id, w.window_start), w.merchant_id,
            case
                when w.days is null then w.before + w.marks
                else greatest(
                    case when w.first_day is null then 0 else w.before end,
                    (
                        select max(stretch.held)::bigint
                        from (
                            select sum(case w.metric when 'distinctDays' then 1 else k.counted end) over (
                                order by k.mark::date range between make_interval(days => w.days - 1) preceding and current row
                            ) as held
                            from threshold_marks as k
                            where k.tenant_id = _tenant_id and k.threshold_id = w.threshold_id and k.customer_id = w.customer_id
                                and k.window_start = w.window_start and k.counted > 0
                                and (w.first_day is null or k.mark >= w.first_day::text and k.mark <= w.last_day::text)
                        ) as stretch
                    )
                )
            end,
            w.pending, w.number, _now, _now
        from wanted as w
        order by w.threshold_id, w.customer_id, w.window_start
        on conflict on constraint threshold_progress_pkey do update
        set current = excluded.current, pending = excluded.pending, number = excluded.number, moved = p.moved + 1,
            updated_at = excluded.updated_at
        where p.current <> excluded.current or p.pending <> excluded.pending
        returning p.threshold_id, p.customer_id, p.window_start, p.merchant_id, p.number, p.current, p.pending, p.reached
    ),
    live as materialized (
        select l.threshold_id, l.targets, l.repeat
        from thresholds_live(_tenant_id, _now, array(select distinct w.threshold_id from wanted as w)) as l
    )
    select moved.threshold_id, moved.customer_id, moved.merchant_id, moved.window_start, moved.number, w.before, moved.current,
        moved.pending, w.activity_id, w.location_id, moved.reached,
        threshold_crossed(live.targets, live.repeat, moved.reached, moved.current)
    from moved
    join wanted as w
        on w.threshold_id = moved.threshold_id and w.customer_id = moved.customer_id and w.window_start = moved.window_start
    left join live on live.threshold_id = moved.threshold_id
    where _all or threshold_crossed(live.targets, live.repeat, moved.reached, moved.current);
end
$$;
