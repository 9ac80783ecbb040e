"""The proof that closed periods are as they were sealed; each invariant as one set-based statement, like those of proof.py."""

from collections.abc import Mapping
from typing import Final

# A closed period's entries, with the block of versions in which each stands (periods_figures.py cuts the same blocks).
WITHIN = """
from periods as p
join accounts as a on a.tenant_id = p.tenant_id and a.merchant_id = p.merchant_id
join entries as e on e.tenant_id = a.tenant_id and e.account_id = a.id and e.at >= p.starts_at and e.at < p.ends_at
join journals as j on j.tenant_id = e.tenant_id and j.id = e.journal_id
where p.status = 'closed' and ($1::uuid is null or p.tenant_id = $1)
"""

DIGESTS = f"""
select p.tenant_id, p.id, format('Period %s was sealed with %s entries; the books have %s now%s.', p.number, p.entries,
    coalesce(now.entries, 0), case when p.entries = coalesce(now.entries, 0) then ', and not the same' else '' end
)
from periods as p
left join (
    select leaf.tenant_id, leaf.period_id, sum(leaf.entries) as entries,
        sha256(string_agg(leaf.digest, ''::bytea order by leaf.account_id, leaf.block)) as digest
    from (
        select p.tenant_id, p.id as period_id, e.account_id, (e.version - 1) / 4096 as block, count(*) as entries,
            sha256(string_agg(
            uuid_send(e.account_id) || int8send(e.version) || uuid_send(e.journal_id) || int2send(e.leg)
            || uuid_send(e.counterpart_id) || int8send(e.amount) || int8send(e.balance_after) || timestamptz_send(e.at)
            || convert_to(j.kind, 'UTF8'), ''::bytea order by e.version
        )) as digest
        {WITHIN}
        group by p.tenant_id, p.id, e.account_id, (e.version - 1) / 4096
    ) as leaf
    group by leaf.tenant_id, leaf.period_id
) as now on now.tenant_id = p.tenant_id and now.period_id = p.id
where p.status = 'closed' and ($1::uuid is null or p.tenant_id = $1)
    and (p.entries <> coalesce(now.entries, 0) or p.digest <> coalesce(now.digest, sha256('')))
"""

SUMS = f"""
select p.tenant_id, p.id, format('Period %s was sealed with the sums %s; the books say %s.', p.number, p.sums,
    coalesce(now.sums, '{{}}')
)
from periods as p
left join (
    select sum_.tenant_id, sum_.period_id, jsonb_object_agg(sum_.name, sum_.amount) as sums
    from (
        select p.tenant_id, p.id as period_id, sum(e.amount) as amount,
            a.code || ' ' || coalesce(a.lot_class, '-') || ' ' || j.kind || case when e.amount > 0 then ' +' else ' -' end as name
        {WITHIN}
        group by p.tenant_id, p.id, name
    ) as sum_
    group by sum_.tenant_id, sum_.period_id
) as now on now.tenant_id = p.tenant_id and now.period_id = p.id
where p.status = 'closed' and ($1::uuid is null or p.tenant_id = $1) and p.sums <> coalesce(now.sums, '{{}}')
"""

LATE = f"""
select distinct p.tenant_id, j.id, format('It was recorded at %s with entries in period %s, which was sealed at %s.', j.recorded_at,
    p.number, p.sealed_at
)
{WITHIN} and j.recorded_at > p.sealed_at
"""

# A merchant's periods follow each other without a gap, and the fence stands at the end of the last that has one.
FENCES = """
select coalesce(p.tenant_id, c.tenant_id), coalesce(p.merchant_id, c.merchant_id), case
    when p.starts_at <> p.ended_before or p.number <> p.number_before + 1
        then format('Period %s does not begin where the one before it ends.', p.number)
    else format('Its books are closed until %s, and its last period ends at %s.', c.closed_until, p.ends_at)
end
from (
    select tenant_id, merchant_id, number, starts_at, ends_at,
        lag(number, 1, 0) over chain as number_before, lag(ends_at, 1, starts_at) over chain as ended_before,
        lead(number) over chain is null as is_last
    from periods
    where fenced_at is not null and ($1::uuid is null or tenant_id = $1)
    window chain as (partition by tenant_id, merchant_id order by number)
) as p
full join (
    select tenant_id, merchant_id, closed_until
    from book_closings
    where closed_until > '-infinity' and ($1::uuid is null or tenant_id = $1)
) as c on c.tenant_id = p.tenant_id and c.merchant_id = p.merchant_id
where p.starts_at <> p.ended_before or p.number <> p.number_before + 1 or p.number is null
    or p.is_last and c.closed_until is distinct from p.ends_at
"""

INVARIANTS: Final[Mapping[str, str]] = {
    "a closed period's entries are those it was sealed with": DIGESTS,
    "a closed period's sums are those it was sealed with": SUMS,
    "nothing is recorded in a period once it is closed": LATE,
    "periods follow each other up to the fence": FENCES,
}
