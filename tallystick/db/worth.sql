-- What an activity is worth to a version of a rule. Replaceable: applied whole by every migrate.
-- The pure ones hold neither subqueries nor statements of their own, so that the server takes their expressions into the
-- statements that use them, and calls nothing for each row.

-- The id of a customer's progress in one window of one threshold: made of the three that name it.
create or replace function threshold_progress_id(_threshold_id uuid, _customer_id uuid, _window_start timestamptz) returns uuid
language sql immutable parallel safe
return md5(uuid_send(_threshold_id) || uuid_send(_customer_id) || timestamptz_send(_window_start))::uuid;

-- Where the window begins that an instant falls into: of a calendar, in the version's time zone; else the rule knows only one.
create or replace function threshold_window(_kind text, _period text, _zone text, _at timestamptz) returns timestamptz
language sql stable parallel safe
return case _kind when 'calendar' then date_trunc(_period, _at, _zone) else 'epoch'::timestamptz end;

-- The sum of the numbers whose words are wanted (null: all) and not unwanted (null: none).
create or replace function threshold_part(
    _words text[], _numbers bigint[], _wanted text[], _unwanted text[] default null
) returns bigint
language plpgsql immutable parallel safe
as $$
declare
    part bigint := 0;
begin
    for place in 1 .. coalesce(cardinality(_words), 0) loop
        if (_wanted is null or _words[place] = any(_wanted)) and (_unwanted is null or _words[place] <> all(_unwanted)) then
            part := part + _numbers[place];
        end if;
    end loop;
    return part;
end
$$;

-- The first filter of a version that keeps an activity from counting, by its name in the API; null where none does.
-- `_zone` is the location's, null where there is none; `_groups` are the location's.
create or replace function threshold_unmet(
    v threshold_versions, _type text, _kind text, _currency text, _occurred_at timestamptz, _location_id uuid, _channel text,
    _categories text[], _zone text, _groups text[]
) returns text
language sql stable parallel safe
return case
    when _type in ('Refund', 'Void') then 'type'
    when _kind <> all((v).kinds) then 'kinds'
    when _currency <> (v).currency then 'currency'
    when (v).locations is not null and (_location_id is null or _location_id <> all((v).locations)) then 'locations'
    when (v).groups is not null and (_groups is null or not _groups && (v).groups) then 'groups'
    when (v).channels is not null and (_channel is null or _channel <> all((v).channels)) then 'channels'
    when (v).categories is not null and (_categories is null or not _categories && (v).categories) then 'categories'
    when (v).weekdays is not null
        and extract(isodow from _occurred_at at time zone coalesce(_zone, (v).time_zone))::integer <> all((v).weekdays)
        then 'weekdays'
    when (v).minute_from is not null
        and (_occurred_at at time zone coalesce(_zone, (v).time_zone))::time - '00:00'::time < make_interval(mins => (v).minute_from)
        then 'hours'
    when (v).minute_until is not null
        and (_occurred_at at time zone coalesce(_zone, (v).time_zone))::time - '00:00'::time >= make_interval(mins => (v).minute_until)
        then 'hours'
    when (v).window_kind = 'dates' and (_occurred_at < (v).window_from or _occurred_at >= (v).window_until) then 'window'
end;

-- What the version's categories and tax leave of an activity's amount, in minor units, before returns.
create or replace function threshold_net(
    v threshold_versions, _amount bigint, _tax bigint, _categories text[], _category_amounts bigint[], _category_taxes bigint[]
) returns bigint
language sql immutable parallel safe
return case when (v).categories is null then _amount else threshold_part(_categories, _category_amounts, (v).categories) end
    - case
        when not (v).before_tax then 0
        when (v).categories is null then _tax
        else threshold_part(_categories, _category_taxes, (v).categories)
    end;

-- The same as far as it was paid in ways that count. What tells of no payments was paid in none of the wanted ways, and in none of
-- those that are left out.
create or replace function threshold_share(
    v threshold_versions, _amount bigint, _tax bigint, _categories text[], _category_amounts bigint[], _category_taxes bigint[],
    _methods text[], _method_amounts bigint[]
) returns bigint
language sql immutable parallel safe
return case
    when (v).methods is null and ((v).excluded_methods is null or _methods is null or not _methods && (v).excluded_methods)
        then threshold_net(v, _amount, _tax, _categories, _category_amounts, _category_taxes)
    when threshold_part(_methods, _method_amounts, null) = 0
        then case
            when (v).methods is null then threshold_net(v, _amount, _tax, _categories, _category_amounts, _category_taxes)
            else 0
        end
    else div(
        threshold_net(v, _amount, _tax, _categories, _category_amounts, _category_taxes)::numeric
        * threshold_part(_methods, _method_amounts, (v).methods, (v).excluded_methods),
        threshold_part(_methods, _method_amounts, null)
    )::bigint
end;

-- How much of its share an activity counts for a version that it matches, when so much of it was returned (the plain sums of what
-- came back). For different days and places it is 1 for its mark.
create or replace function threshold_worth(
    v threshold_versions, _share bigint, _amount bigint, _units bigint, _categories text[], _category_units bigint[],
    _location_id uuid, _returned_amount bigint, _returned_units bigint
) returns bigint
language sql immutable parallel safe
return case
    when _share < (v).minimum or _amount > 0 and _returned_amount >= _amount then 0
    when (v).metric = 'spend' then
        case when _returned_amount = 0 or _amount = 0 then _share else _share - _share * _returned_amount / _amount end
    when (v).metric = 'items' then greatest(
        0, case when (v).categories is null then _units else threshold_part(_categories, _category_units, (v).categories) end - _returned_units
    )
    when (v).metric = 'distinctLocations' and _location_id is null then 0
    else 1
end;

-- The same of an activity's row.
create or replace function threshold_matches(v threshold_versions, a activities, _zone text, _groups text[]) returns boolean
language sql stable parallel safe
return threshold_unmet(
    v, a.type, a.kind, a.currency, a.occurred_at, a.location_id, a.channel, a.categories, _zone, _groups
) is null;

create or replace function threshold_share(v threshold_versions, a activities) returns bigint
language sql immutable parallel safe
return threshold_share(
    v, a.amount, a.tax, a.categories, a.category_amounts, a.category_taxes, a.methods, a.method_amounts
);

create or replace function threshold_worth(
    v threshold_versions, a activities, _share bigint, _returned_amount bigint, _returned_units bigint
) returns bigint
language sql immutable parallel safe
return threshold_worth(
    v, _share, a.amount, a.units, a.categories, a.category_units, a.location_id, _returned_amount, _returned_units
);

-- How much an activity counts for a version as it stands, whether or not that was in force: 0 where a filter keeps it out. For
-- explaining and rehearsing.
create or replace function threshold_counted(v threshold_versions, a activities, _zone text, _groups text[]) returns bigint
language sql stable parallel safe
return case
    when not threshold_matches(v, a, _zone, _groups) then 0
    else threshold_worth(v, a, threshold_share(v, a), a.returned_amount, a.returned_units)
end;

-- How many steps so much progress deserves, of every cycle.
create or replace function threshold_steps(_targets bigint[], _repeat text, _progress bigint) returns bigint
language sql immutable parallel safe
return case
    when _repeat = 'repeating' then _progress / _targets[cardinality(_targets)] * cardinality(_targets)
        + width_bucket(_progress % _targets[cardinality(_targets)], _targets)
    else width_bucket(_progress, _targets)
end;

-- Whether a step waits that so much progress deserves, or one was settled that it deserves no more. Without targets nothing waits.
-- Whoever is before the first step, as most are, is told by that alone.
create or replace function threshold_crossed(_targets bigint[], _repeat text, _reached bigint, _current bigint) returns boolean
language sql immutable parallel safe
return _current < _reached or _current > _reached and _current >= _targets[1] and _targets is not null
    and threshold_steps(_targets, _repeat, _current) > threshold_steps(_targets, _repeat, _reached);
