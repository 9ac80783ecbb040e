-- Explaining and rehearsing: why an activity counts or does not, and what a version would have given. Nothing here writes. Replaceable:
-- applied whole by every migrate.

-- Why an activity counts nothing for a version, as it stands: the first filter that keeps it out, then what is left of it behind its
-- lines, how it was paid, the minimum and what came back; 'counted' where it counts. 'nothing': there was nothing of what is counted.
create or replace function threshold_reason(v threshold_versions, a activities, _zone text, _groups text[]) returns text
language sql stable parallel safe
return case threshold_unmet(
    v, a.type, a.kind, a.currency, a.occurred_at, a.location_id, a.channel, a.categories, _zone, _groups
)
    when 'type' then 'otherKind'
    when 'kinds' then 'otherKind'
    when 'currency' then 'otherCurrency'
    when 'locations' then 'location'
    when 'groups' then 'group'
    when 'channels' then 'channel'
    when 'categories' then 'category'
    when 'weekdays' then 'weekday'
    when 'hours' then 'hour'
    when 'window' then 'window'
    else case
        when threshold_worth(v, a, threshold_share(v, a), a.returned_amount, a.returned_units) > 0 then 'counted'
        when threshold_worth(v, a, threshold_share(v, a), 0, 0) > 0 then 'returned'
        when (v).metric = 'distinctLocations' and a.location_id is null then 'location'
        when threshold_share(v, a) = 0 and ((v).methods is not null or (v).excluded_methods is not null) then 'method'
        when threshold_share(v, a) < (v).minimum then 'minimum'
        else 'nothing'
    end
end;

-- What a customer did at a rule's merchant, each with the version that was in force then, the window it falls into, by how much it
-- counts as it stands now, and why not. With `_at` what is not in the window of that instant is out of it; in a window that rolls that
-- is its last days until then. A refund or a void is no line of its own: it is told of with what it takes back.
create or replace function threshold_lines(_tenant_id uuid, _threshold_id uuid, _customer_id uuid, _at timestamptz) returns table (
    activity_id uuid, partner_id uuid, kind text, source_id text, occurred_at timestamptz, received_at timestamptz,
    number integer, window_start timestamptz, reason text, counted bigint
)
language sql stable
as $$
    select (h.a).id, (h.a).partner_id, (h.a).kind, (h.a).source_id, (h.a).occurred_at, (h.a).received_at, i.number,
        threshold_window(v.window_kind, v.window_period, v.time_zone, (h.a).occurred_at), r.reason,
        case
            when r.reason in ('counted', 'pending')
                then threshold_worth(v, h.a, threshold_share(v, h.a), (h.a).returned_amount, (h.a).returned_units)
            else 0
        end
    from thresholds as t
    cross join lateral (
        select held as a
        from activities as held
        where held.tenant_id = _tenant_id and held.customer_id = _customer_id
        offset 0  -- a fence: found by customer, whatever the statistics of a young table say
    ) as h
    left join locations as l on l.tenant_id = _tenant_id and l.id = (h.a).location_id
    left join threshold_intervals as i
        on i.tenant_id = _tenant_id and i.threshold_id = t.id and i.from_at <= (h.a).occurred_at
        and (i.until_at is null or i.until_at > (h.a).occurred_at)
    left join threshold_versions as v
        on v.tenant_id = _tenant_id and v.threshold_id = t.id and v.number = i.number
    cross join lateral (
        select case
            when i.number is null then 'notInForce'
            when (h.a).voided then 'voided'
            when (h.a).attribution = 'rejected' then 'rejected'
            else threshold_reason(v, h.a, l.time_zone, l.groups)
        end as found
    ) as f
    cross join lateral (
        select case
            when f.found <> 'counted' then f.found
            when threshold_window(v.window_kind, v.window_period, v.time_zone, (h.a).occurred_at)
                <> threshold_window(v.window_kind, v.window_period, v.time_zone, _at) then 'window'
            when v.window_kind = 'rolling' and (
                ((h.a).occurred_at at time zone coalesce(l.time_zone, v.time_zone))::date
                <= (_at at time zone v.time_zone)::date - v.window_days
                or ((h.a).occurred_at at time zone coalesce(l.time_zone, v.time_zone))::date > (_at at time zone v.time_zone)::date
            ) then 'window'
            when (h.a).attribution = 'pending' then 'pending'
            else 'counted'
        end as reason
    ) as r
    where t.tenant_id = _tenant_id and t.id = _threshold_id and (h.a).merchant_id = t.merchant_id
        and (h.a).type in ('Purchase', 'Visit', 'Order')
$$;

-- Each time that steps of a version would have been reached, had it been in force through all of a stretch of time: when, by what
-- activity and where, by day (of the version's time zone; in a window that rolls, of the place), how many of the step's rewards that is,
-- and how many there were before. One row without a customer says how many customers did something that counts. Activities made before
-- `_since` are not looked at: an id begins with the instant at which it was made.
create or replace function threshold_crossings(
    _tenant_id uuid, _threshold_id uuid, _number integer, _from timestamptz, _until timestamptz, _since uuid
) returns table (
    customer_id uuid, window_start timestamptz, day date, at timestamptz, tie uuid, location_id uuid, step integer, already numeric,
    rewards numeric, customers bigint
)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    v threshold_versions;
    lap bigint;
    repeats boolean;
begin
    -- A value, not a row to be joined: what the version does not filter by costs nothing then.
    v := (
        select known from threshold_versions as known
        where known.tenant_id = _tenant_id and known.threshold_id = _threshold_id and known.number = _number
    );
    lap := v.targets[cardinality(v.targets)];
    repeats := v.repeat = 'repeating';
    return query
    with worth as (
        select a.customer_id, a.occurred_at, a.id, a.location_id,
            threshold_window(v.window_kind, v.window_period, v.time_zone, a.occurred_at) as window_start,
            case
                when v.metric = 'distinctLocations' then a.location_id::text
                when v.metric = 'distinctDays' or v.window_kind = 'rolling'
                    then (a.occurred_at at time zone coalesce(l.time_zone, v.time_zone))::date::text
            end as mark,
            threshold_worth(v, a, s.share, a.returned_amount, a.returned_units) as counted
        from activities as a
        left join locations as l on l.tenant_id = _tenant_id and l.id = a.location_id
        cross join lateral (select threshold_share(v, a) as share) as s
        where a.tenant_id = _tenant_id and a.merchant_id = v.merchant_id and a.id >= _since
            and a.occurred_at >= _from and a.occurred_at < _until
            and a.customer_id is not null and a.attribution = 'counted' and not a.voided
            and threshold_matches(v, a, l.time_zone, l.groups)
    ),
    counted as materialized (
        select w.customer_id, w.occurred_at, w.id, w.location_id, w.window_start, w.mark, w.counted from worth as w where w.counted > 0
    ),
    -- Of different days or places the first of each is what counts.
    firsts as (
        select distinct on (c.customer_id, c.window_start, c.mark)
            c.customer_id, c.window_start, c.mark, c.occurred_at, c.id, c.location_id
        from counted as c
        where v.window_kind <> 'rolling' and v.metric in ('distinctDays', 'distinctLocations')
        order by c.customer_id, c.window_start, c.mark, c.occurred_at, c.id
    ),
    -- What the days that roll held behind each activity, and the most that any of them held until then.
    rolled as (
        select c.customer_id, c.mark::date as day, c.occurred_at, c.id, c.location_id,
            case v.metric
                when 'distinctDays'
                    then (row_number() over (partition by c.customer_id, c.mark order by c.occurred_at, c.id) = 1)::integer
                else c.counted
            end as counted
        from counted as c
        where v.window_kind = 'rolling'
    ),
    held as (
        select d.customer_id, d.day, d.occurred_at, d.id, d.location_id,
            sum(d.counted) over (
                partition by d.customer_id order by d.day
                range between make_interval(days => coalesce(v.window_days, 1) - 1) preceding and current row
            ) - coalesce(sum(d.counted) over (
                partition by d.customer_id, d.day order by d.occurred_at, d.id rows between 1 following and unbounded following
            ), 0) as held
        from rolled as d
    ),
    running as (
        select c.customer_id, c.window_start, (c.occurred_at at time zone v.time_zone)::date as day, c.occurred_at as at, c.id as tie,
            c.location_id, sum(c.counted) over until_it as total, c.counted::numeric as moved
        from counted as c
        where v.window_kind <> 'rolling' and v.metric not in ('distinctDays', 'distinctLocations')
        window until_it as (partition by c.customer_id, c.window_start order by c.occurred_at, c.id rows unbounded preceding)
        union all
        select f.customer_id, f.window_start, (f.occurred_at at time zone v.time_zone)::date, f.occurred_at, f.id, f.location_id,
            row_number() over (partition by f.customer_id, f.window_start order by f.occurred_at, f.mark)::numeric, 1
        from firsts as f
        union all
        select h.customer_id, 'epoch'::timestamptz, h.day, h.occurred_at, h.id, h.location_id,
            max(h.held) over best, max(h.held) over best - coalesce(max(h.held) over earlier, 0)
        from held as h
        window best as (partition by h.customer_id order by h.day, h.occurred_at, h.id rows unbounded preceding),
            earlier as (
                partition by h.customer_id order by h.day, h.occurred_at, h.id rows between unbounded preceding and 1 preceding
            )
    )
    select r.customer_id, r.window_start, r.day, r.at, r.tie, r.location_id, t.step::integer, n.already, n.reached - n.already,
        null::bigint
    from running as r
    cross join lateral unnest(v.targets) with ordinality as t (target, step)
    cross join lateral (
        select
            case
                when r.total < t.target then 0
                when repeats then div(r.total - t.target, lap) + 1
                else 1
            end as reached,
            case
                when r.total - r.moved < t.target then 0
                when repeats then div(r.total - r.moved - t.target, lap) + 1
                else 1
            end as already
    ) as n
    where r.moved > 0 and n.reached > n.already
    union all
    select null, null, null, null, null, null, null, null, null, (select count(distinct c.customer_id) from counted as c);
end
$$;

-- What a version would have given, had it been in force through all of a stretch of time: by day and step, how many rewards, and what
-- they come to in minor units within the caps of one customer. One row without a day says how many customers did something that counts,
-- and how many were rewarded. `_customer_count`, `_customer_amount` and `_customer_day_count` bound one customer; null: no bound.
-- `_amounts` is what each step gives; `_cycles` bounds how many cycles of one activity are looked at one by one where there is a bound.
create or replace function threshold_rehearse(
    _tenant_id uuid, _threshold_id uuid, _number integer, _from timestamptz, _until timestamptz, _since uuid, _amounts bigint[],
    _customer_count bigint, _customer_amount bigint, _customer_day_count bigint, _cycles bigint
) returns table (day date, step integer, rewards numeric, bounded numeric, customers bigint, rewarded bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    bounds boolean := _customer_count is not null or _customer_amount is not null or _customer_day_count is not null;
begin
    return query
    with crossed as materialized (
        select c.customer_id, c.window_start, c.day, c.at, c.tie, c.step, c.already, c.rewards, c.customers
        from threshold_crossings(_tenant_id, _threshold_id, _number, _from, _until, _since) as c
    ),
    -- One by one, in the order in which they were reached; only where a customer's caps ask for it.
    singles as (
        select c.customer_id, c.day, c.step, c.window_start, c.at, c.tie, c.already + one.nth as cycle,
            _amounts[c.step] as amount,
            row_number() over (
                partition by c.customer_id, c.day order by c.at, c.tie, c.window_start, c.already + one.nth, c.step
            ) as of_day
        from crossed as c
        cross join lateral generate_series(1, least(c.rewards, _cycles)::bigint) as one (nth)
        where bounds and c.customer_id is not null
    ),
    ranked as (
        select s.customer_id, s.day, s.step, s.amount,
            row_number() over of_customer as nth, sum(s.amount) over of_customer - s.amount as spent
        from singles as s
        where _customer_day_count is null or s.of_day <= _customer_day_count
        window of_customer as (
            partition by s.customer_id order by s.at, s.tie, s.window_start, s.cycle, s.step rows unbounded preceding
        )
    ),
    given as (
        select k.day, k.step,
            sum(greatest(0, least(k.amount, coalesce(_customer_amount - k.spent, k.amount)))) as bounded
        from ranked as k
        where _customer_count is null or k.nth <= _customer_count
        group by k.day, k.step
    ),
    daily as (
        select c.day, c.step, sum(c.rewards) as rewards from crossed as c where c.customer_id is not null group by c.day, c.step
    )
    select d.day, d.step, d.rewards,
        case when bounds then coalesce(g.bounded, 0) else d.rewards * _amounts[d.step] end, null::bigint, null::bigint
    from daily as d
    left join given as g on g.day = d.day and g.step = d.step
    union all
    select null, null, null, null, (select max(c.customers) from crossed as c),
        (select count(distinct c.customer_id) from crossed as c);
end
$$;
