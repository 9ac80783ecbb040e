"""Proofs of activity and thresholds: that names, activities, progress, outcomes, rewards, cards and budgets tell one story.

Progress is counted anew from the activities that are stored. Where older ones were detached it is at least as much as those that
are left deserve. Left out is what cannot be counted anew: a rule that looks at locations, where one of the merchant's was changed
since; and a customer of whom something was told ahead of our clock, while the rule began or ended. Run by the auditor.
"""

from collections.abc import Mapping
from typing import Final

# Months of activity are detached from the oldest on: what is older than everything stored may be gone.
AUDITOR_OLDEST = "select min(a.id::text)::uuid as id from activities as a"

AUDITOR_DETACHED = f"""
select distinct k.tenant_id from activity_keys as k, ({AUDITOR_OLDEST}) as oldest where k.activity_id < oldest.id
"""

AUDITOR_NAMELESS = """
select a.tenant_id, a.id, 'The activity has no name of its own.'
from activities as a
left join activity_keys as k
    on k.tenant_id = a.tenant_id and k.source = a.source and k.source_id = a.source_id and k.activity_id = a.id
where k.activity_id is null
"""

AUDITOR_NAMES_OF_NOTHING = f"""
select k.tenant_id, k.activity_id, 'A name stands for an activity that does not exist.'
from activity_keys as k
cross join ({AUDITOR_OLDEST}) as oldest
left join activities as a on a.tenant_id = k.tenant_id and a.id = k.activity_id
where k.activity_id > oldest.id and a.id is null
"""

AUDITOR_WAITS = """
select w.tenant_id, w.activity_id, 'The return waits for an activity that is there.'
from activity_waits as w
join activity_keys as k on k.tenant_id = w.tenant_id and k.source = w.source and k.source_id = w.source_id
where k.activity_id is not null
"""

AUDITOR_RETURNS = f"""
select a.tenant_id, a.id, format('Of the activity %s came back, and its returns come to %s.', a.returned_amount,
    coalesce(r.amount, 0))
from activities as a
left join (
    select b.tenant_id, b.linked_id, b.merchant_id, coalesce(sum(b.units) filter (where b.type = 'Refund'), 0) as units,
        coalesce(sum(b.amount) filter (where b.type = 'Refund'), 0) as amount, bool_or(b.type = 'Void') as voided
    from activities as b
    join activities as t on t.tenant_id = b.tenant_id and t.id = b.linked_id
    where b.type in ('Refund', 'Void') and b.attribution <> 'rejected' and (b.type = 'Void' or b.currency = t.currency)
        and not b.voided
    group by b.tenant_id, b.linked_id, b.merchant_id
) as r on r.tenant_id = a.tenant_id and r.linked_id = a.id and r.merchant_id = a.merchant_id
where a.type <> 'Void' and a.tenant_id not in ({AUDITOR_DETACHED})
    and (a.returned_amount <> coalesce(r.amount, 0) or a.returned_units <> coalesce(r.units, 0)
        or a.voided <> coalesce(r.voided, false))
"""

# What each stored activity is worth to the version that was in force when it happened, as it stands now.
AUDITOR_WORTH = """
select a.tenant_id, i.threshold_id, a.customer_id,
    threshold_window(v.window_kind, v.window_period, v.time_zone, a.occurred_at) as window_start,
    case
        when v.metric = 'distinctLocations' then a.location_id::text
        when v.metric = 'distinctDays' or v.window_kind = 'rolling'
            then (a.occurred_at at time zone coalesce(l.time_zone, v.time_zone))::date::text
    end as mark,
    case a.attribution when 'counted' then w.counted else 0 end as counted,
    case a.attribution when 'pending' then w.counted else 0 end as pending
from activities as a
join threshold_intervals as i
    on i.tenant_id = a.tenant_id and i.merchant_id = a.merchant_id and i.from_at <= a.occurred_at
    and (i.until_at is null or i.until_at > a.occurred_at)
join threshold_versions as v on v.tenant_id = i.tenant_id and v.threshold_id = i.threshold_id and v.number = i.number
left join locations as l on l.tenant_id = a.tenant_id and l.id = a.location_id
cross join lateral (select threshold_counted(v, a, l.time_zone, l.groups) as counted) as w
where a.customer_id is not null and not a.voided and a.attribution <> 'rejected' and w.counted > 0
"""

AUDITOR_LOOSE_RULES = """
select t.tenant_id, t.id
from thresholds as t
where exists (
    select from locations as l where l.tenant_id = t.tenant_id and l.merchant_id = t.merchant_id and l.version > 1
) and exists (
    select from threshold_versions as v
    where v.tenant_id = t.tenant_id and v.threshold_id = t.id and (v.groups is not null or v.weekdays is not null
        or v.minute_from is not null or v.metric = 'distinctDays' or v.window_kind = 'rolling')
)
"""

AUDITOR_LOOSE_PEOPLE = """
select a.tenant_id, i.threshold_id, a.customer_id
from activities as a
join threshold_intervals as i on i.tenant_id = a.tenant_id and i.merchant_id = a.merchant_id
where a.customer_id is not null and a.occurred_at >= a.received_at
    and (i.from_at > a.received_at and i.from_at <= a.occurred_at or i.until_at >= a.received_at and i.until_at <= a.occurred_at)
"""

AUDITOR_PROGRESS = f"""
select p.tenant_id, p.id, format('The progress stands at %s and %s, and what happened comes to %s and %s.', p.current, p.pending,
    p.counted, p.waits)
from (
    select coalesce(p.tenant_id, c.tenant_id) as tenant_id, coalesce(p.threshold_id, c.threshold_id) as threshold_id,
        coalesce(p.customer_id, c.customer_id) as customer_id,
        coalesce(p.id, threshold_progress_id(c.threshold_id, c.customer_id, c.window_start)) as id,
        coalesce(p.current, 0) as current, coalesce(p.pending, 0) as pending, coalesce(c.counted, 0) as counted,
        coalesce(c.pending, 0) as waits
    from (
        select held.tenant_id, held.threshold_id, held.customer_id, held.window_start, held.id, held.current, held.pending
        from threshold_progress as held
        join threshold_versions as v
            on v.tenant_id = held.tenant_id and v.threshold_id = held.threshold_id and v.number = held.number
        where v.window_kind <> 'rolling' and v.metric not in ('distinctDays', 'distinctLocations')
    ) as p
    full join (
        select w.tenant_id, w.threshold_id, w.customer_id, w.window_start, sum(w.counted) as counted, sum(w.pending) as pending
        from ({AUDITOR_WORTH}) as w
        where w.mark is null
        group by w.tenant_id, w.threshold_id, w.customer_id, w.window_start
    ) as c
        on c.tenant_id = p.tenant_id and c.threshold_id = p.threshold_id and c.customer_id = p.customer_id
        and c.window_start = p.window_start
) as p
where (p.current < p.counted or p.pending < p.waits
        or (p.current > p.counted or p.pending > p.waits) and p.tenant_id not in ({AUDITOR_DETACHED}))
    and (p.tenant_id, p.threshold_id) not in ({AUDITOR_LOOSE_RULES})
    and (p.tenant_id, p.threshold_id, p.customer_id) not in ({AUDITOR_LOOSE_PEOPLE})
"""

AUDITOR_MARKS = f"""
select p.tenant_id, threshold_progress_id(p.threshold_id, p.customer_id, p.window_start),
    format('The mark %s stands at %s and %s, and what happened comes to %s and %s.', p.mark, p.current, p.pending, p.counted,
        p.waits)
from (
    select coalesce(k.tenant_id, c.tenant_id) as tenant_id, coalesce(k.threshold_id, c.threshold_id) as threshold_id,
        coalesce(k.customer_id, c.customer_id) as customer_id, coalesce(k.window_start, c.window_start) as window_start,
        coalesce(k.mark, c.mark) as mark, coalesce(k.counted, 0) as current, coalesce(k.pending, 0) as pending,
        coalesce(c.counted, 0) as counted, coalesce(c.pending, 0) as waits
    from threshold_marks as k
    full join (
        select w.tenant_id, w.threshold_id, w.customer_id, w.window_start, w.mark, sum(w.counted) as counted,
            sum(w.pending) as pending
        from ({AUDITOR_WORTH}) as w
        where w.mark is not null
        group by w.tenant_id, w.threshold_id, w.customer_id, w.window_start, w.mark
    ) as c
        on c.tenant_id = k.tenant_id and c.threshold_id = k.threshold_id and c.customer_id = k.customer_id
        and c.window_start = k.window_start and c.mark = k.mark
) as p
where (p.current < p.counted or p.pending < p.waits
        or (p.current > p.counted or p.pending > p.waits) and p.tenant_id not in ({AUDITOR_DETACHED}))
    and (p.tenant_id, p.threshold_id) not in ({AUDITOR_LOOSE_RULES})
    and (p.tenant_id, p.threshold_id, p.customer_id) not in ({AUDITOR_LOOSE_PEOPLE})
"""

# In a window that rolls: the most that any stretch holds, by the version that counted last or one that came since.
AUDITOR_MARKED = """
select p.tenant_id, p.id, format('The progress stands at %s and %s, and its marks say otherwise.', p.current, p.pending)
from threshold_progress as p
join threshold_versions as v on v.tenant_id = p.tenant_id and v.threshold_id = p.threshold_id and v.number = p.number
left join (
    select k.tenant_id, k.threshold_id, k.customer_id, k.window_start, count(*) filter (where k.counted > 0) as marks,
        count(*) filter (where k.counted = 0 and k.pending > 0) as waits, sum(k.pending) as pending
    from threshold_marks as k
    group by k.tenant_id, k.threshold_id, k.customer_id, k.window_start
) as s
    on s.tenant_id = p.tenant_id and s.threshold_id = p.threshold_id and s.customer_id = p.customer_id
    and s.window_start = p.window_start
where (v.window_kind = 'rolling' or v.metric in ('distinctDays', 'distinctLocations'))
    and (p.pending <> coalesce(case when v.metric in ('distinctDays', 'distinctLocations') then s.waits else s.pending end, 0)
        or v.window_kind <> 'rolling' and p.current <> coalesce(s.marks, 0)
        or v.window_kind = 'rolling' and p.current <> all(
            select coalesce((
                select max(stretch.held)
                from (
                    select sum(case said.metric when 'distinctDays' then 1 else k.counted end) over (
                        order by k.mark::date range between make_interval(days => said.window_days - 1) preceding and current row
                    ) as held
                    from threshold_marks as k
                    where k.tenant_id = p.tenant_id and k.threshold_id = p.threshold_id and k.customer_id = p.customer_id
                        and k.window_start = p.window_start and k.counted > 0
                ) as stretch
            ), 0)
            from threshold_versions as said
            where said.tenant_id = p.tenant_id and said.threshold_id = p.threshold_id and said.number >= p.number
        ))
"""

AUDITOR_BELOW_NOTHING = """
select p.tenant_id, p.id, format('The progress stands at %s and %s.', p.current, p.pending)
from threshold_progress as p
where p.current < 0 or p.pending < 0
"""

AUDITOR_GENERATIONS = """
select o.tenant_id, o.id, format('Generation %s of the step stands, and generation %s came after it.', o.generation, o.latest)
from (
    select held.tenant_id, held.id, held.generation, held.status, max(held.generation) over (
        partition by held.tenant_id, held.threshold_id, held.customer_id, held.window_start, held.cycle, held.step
    ) as latest
    from threshold_outcomes as held
) as o
where o.generation < o.latest and o.status <> 'returned'
"""

# What waits may be changed by whoever gave it, before it is claimed.
AUDITOR_GIVEN = """
select o.tenant_id, o.id, format('The outcome gives %s, and names no reward or card of that.', o.amount)
from threshold_outcomes as o
join thresholds as t on t.tenant_id = o.tenant_id and t.id = o.threshold_id
left join rewards as r on r.tenant_id = o.tenant_id and r.id = o.reward_id
left join gift_cards as c on c.tenant_id = o.tenant_id and c.id = o.gift_card_id
where (o.amount > 0 or o.status in ('given', 'kept')) and case o.reward_type
    when 'walletCredit' then o.gift_card_id is not null
        or (r.partner_id, r.merchant_id, r.currency) is distinct from (t.partner_id, o.merchant_id, o.currency)
        or r.amount <> o.amount and (r.kind <> 'preIssued' or r.version = 1)
    else o.reward_id is not null
        or (c.partner_id, c.merchant_id, c.currency, c.initial_amount)
        is distinct from (t.partner_id, o.merchant_id, o.currency, o.amount)
end
"""

AUDITOR_NOT_GIVEN = """
select o.tenant_id, o.id, format('The outcome is %s, and names a reward or a card.', o.status)
from threshold_outcomes as o
where o.amount = 0 and (o.reward_id is not null or o.gift_card_id is not null)
"""

AUDITOR_CAUSES = """
select k.tenant_id, k.resource_id, format('What a threshold gave is named by %s outcomes.', coalesce(o.n, 0))
from idempotency_keys as k
left join (
    select held.tenant_id, coalesce(held.reward_id, held.gift_card_id) as given_id, count(*) as n
    from threshold_outcomes as held
    group by held.tenant_id, coalesce(held.reward_id, held.gift_card_id)
) as o on o.tenant_id = k.tenant_id and o.given_id = k.resource_id
where k.operation = 'thresholds.issue' and o.n is distinct from 1
"""

AUDITOR_TAKEN_BACK = """
select o.tenant_id, o.id, format('The outcome is %s and says that %s came back; the reward is %s, and of it %s did.', o.status,
    o.returned_amount, r.status, r.reversed_amount)
from threshold_outcomes as o
join rewards as r on r.tenant_id = o.tenant_id and r.id = o.reward_id
where o.returned_amount > case r.status when 'Cancelled' then r.amount else r.reversed_amount end
    or o.status = 'given' and o.returned_amount > 0 or o.status = 'returned' and r.status = 'Created'
"""

AUDITOR_TAKEN_OFF = """
with recursive chain as (
    select o.tenant_id, o.id, o.status, o.returned_amount, o.gift_card_id as card_id
    from threshold_outcomes as o
    where o.gift_card_id is not null
    union all
    select chain.tenant_id, chain.id, chain.status, chain.returned_amount, c.replaced_by
    from chain
    join gift_cards as c on c.tenant_id = chain.tenant_id and c.id = chain.card_id
    where c.replaced_by is not null
),
taken as (
    select a.tenant_id, a.card_id, -sum(a.amount) as amount
    from gift_card_activities as a
    where a.kind = 'refund_purchase'
    group by a.tenant_id, a.card_id
)
select chain.tenant_id, chain.id, format('The outcome says that %s came back, and of its card %s did.', chain.returned_amount,
    coalesce(sum(taken.amount), 0))
from chain
left join taken on taken.tenant_id = chain.tenant_id and taken.card_id = chain.card_id
group by chain.tenant_id, chain.id, chain.status, chain.returned_amount
having chain.returned_amount > coalesce(sum(taken.amount), 0) or chain.status = 'given' and chain.returned_amount > 0
"""

# A period begins at the first of two equal local times.
AUDITOR_BUDGETS = """
select coalesce(s.tenant_id, g.tenant_id), coalesce(s.threshold_id, g.threshold_id),
    format('Of the bound %s of %s, %s of %s rewards are counted, and %s of %s stand.', coalesce(s.scope, g.scope),
        coalesce(s.scope_id, g.scope_id), coalesce(s.amount, 0), coalesce(s.count, 0), coalesce(g.amount, 0), coalesce(g.count, 0))
from threshold_spent as s
full join (
    select one.tenant_id, one.threshold_id, one.scope, one.scope_id, one.period, one.period_start, sum(one.amount) as amount,
        count(*) filter (where one.stands) as count
    from (
        select distinct o.tenant_id, o.id, o.amount - o.returned_amount as amount, o.status in ('given', 'kept') as stands,
            b.threshold_id, b.scope, b.scope_id, coalesce(b.period, 'ever') as period, case
                when b.period is null then 'epoch'::timestamptz
                when (p.begins - interval '1 hour') at time zone v.time_zone = p.begins at time zone v.time_zone
                    then p.begins - interval '1 hour'
                else p.begins
            end as period_start
        from threshold_outcomes as o
        join threshold_versions as v on v.tenant_id = o.tenant_id and v.threshold_id = o.threshold_id and v.number = o.number
        cross join lateral (
            select o.threshold_id, 'customer' as scope, o.customer_id as scope_id, null::text as period
            where coalesce(v.caps->>'customer_count', v.caps->>'customer_amount') is not null
            union all
            select o.threshold_id, 'customer', o.customer_id, 'day' where v.caps->>'customer_day_count' is not null
            union all
            select
                case budget.scope when 'merchant' then '00000000-0000-0000-0000-000000000000' else o.threshold_id end,
                budget.scope,
                case budget.scope when 'merchant' then v.merchant_id when 'location' then o.location_id else o.threshold_id end,
                budget.period
            from json_to_recordset(v.budgets) as budget (scope text, period text, location_id uuid)
            where budget.scope <> 'location' or o.location_id = coalesce(budget.location_id, o.location_id)
        ) as b
        cross join lateral (select date_trunc(coalesce(b.period, 'day'), o.created_at, v.time_zone) as begins) as p
        where o.amount > 0
    ) as one
    group by one.tenant_id, one.threshold_id, one.scope, one.scope_id, one.period, one.period_start
) as g
    on g.tenant_id = s.tenant_id and g.threshold_id = s.threshold_id and g.scope = s.scope and g.scope_id = s.scope_id
    and g.period = s.period and g.period_start = s.period_start
where (coalesce(s.count, 0), coalesce(s.amount, 0)) is distinct from (coalesce(g.count, 0), coalesce(g.amount, 0))
"""

PROOFS_OF_THRESHOLDS: Final[Mapping[str, str]] = {
    "every activity has its name": AUDITOR_NAMELESS,
    "every name has its activity": AUDITOR_NAMES_OF_NOTHING,
    "nothing waits for what is there": AUDITOR_WAITS,
    "what came back of an activity is its returns": AUDITOR_RETURNS,
    "progress is what happened": AUDITOR_PROGRESS,
    "marks are what happened": AUDITOR_MARKS,
    "progress is what its marks come to": AUDITOR_MARKED,
    "progress is not below nothing": AUDITOR_BELOW_NOTHING,
    "of a step only the last generation stands": AUDITOR_GENERATIONS,
    "an outcome names what it gave": AUDITOR_GIVEN,
    "what gave nothing names nothing": AUDITOR_NOT_GIVEN,
    "what a threshold gave has one outcome": AUDITOR_CAUSES,
    "what was taken back of a reward came back": AUDITOR_TAKEN_BACK,
    "what was taken back of a card came back": AUDITOR_TAKEN_OFF,
    "caps and budgets are what stands": AUDITOR_BUDGETS,
}
