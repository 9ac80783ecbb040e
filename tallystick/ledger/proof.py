"""The proof that the books are whole: every invariant as one set-based statement that finds what breaks it.

Reads across tenants, as the auditor, in one snapshot, so that it may run while others post. Needs about a sort of all entries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tallystick.base.db import Db
from tallystick.ledger import periods_proof

FAULTS_MAX: Final = 100
"""For each invariant: the first ones say what is wrong, a million say no more."""

ENTER: Final = """
begin isolation level repeatable read read only;
set local statement_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
set local work_mem = '64MB';
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks an invariant: which one, whose books, the account, journal, hold, merchant or period, and what."""

    invariant: str
    tenant_id: UUID
    id: UUID
    sentence: str


async def check_books(db: Db, tenant_id: UUID | None = None) -> list[Fault]:
    """What is wrong with the books, of one tenant or of all; nothing when they are whole.

    `db` is an auditor's connection. A transaction it is in is joined, and should see one snapshot; else one is made.
    """
    faults: list[Fault] = []
    alone = not db.connection.is_in_transaction()
    if alone:
        await db.script(ENTER)
    try:
        for invariant, sql in {**INVARIANTS, **periods_proof.INVARIANTS}.items():
            rows = await db.rows(f"{sql} limit {FAULTS_MAX}", tenant_id)
            faults += [Fault(invariant, row[0], row[1], row[2]) for row in rows]
    finally:
        if alone and not db.connection.is_closed():
            await db.script("rollback")
    return faults


# Versions count from 1 without a gap, each balance follows from the one before, and time does not go back.
CHAIN = """
select tenant_id, account_id, format(
    'Version %s (amount %s, balance after %s, at %s) does not follow version %s (balance after %s, at %s).',
    version, amount, balance_after, at, version_before, balance_before, at_before
)
from (
    select tenant_id, account_id, version, amount, balance_after, at,
        lag(version, 1, 0::bigint) over chain as version_before,
        lag(balance_after, 1, 0::bigint) over chain as balance_before,
        lag(at, 1, '-infinity'::timestamptz) over chain as at_before
    from entries
    where $1::uuid is null or tenant_id = $1
    window chain as (partition by tenant_id, account_id order by version)
) as e
where version <> version_before + 1 or balance_after <> balance_before::numeric + amount or at < at_before
"""

# An account's row stands at its last entry.
SUMS = """
select coalesce(a.tenant_id, e.tenant_id), coalesce(a.id, e.account_id), case
    when a.id is null then 'It has entries, but there is no such account.'
    else format(
        'Its row says balance %s at version %s, last at %s; its %s entries sum to %s and end at version %s, at %s.',
        a.balance, a.version, a.last_at, coalesce(e.entries, 0), coalesce(e.total, 0), coalesce(e.version, 0), e.at
    )
end
from (
    select tenant_id, id, balance, version, last_at from accounts where $1::uuid is null or tenant_id = $1
) as a
full join (
    select tenant_id, account_id, count(*) as entries, sum(amount) as total, max(version) as version, max(at) as at
    from entries
    where $1::uuid is null or tenant_id = $1
    group by tenant_id, account_id
) as e on e.tenant_id = a.tenant_id and e.account_id = a.id
where a.id is null or a.balance <> coalesce(e.total, 0) or a.version <> coalesce(e.entries, 0)
    or a.version <> coalesce(e.version, 0) or a.last_at < e.at
"""

# A limit of nothing is what the account is, so it held at every version. Others are terms that may change, and hold now.
LIMITS = """
select a.tenant_id, a.id, format(
    'Its limits are %s to %s; its balance was between %s and %s, and is %s of which %s are held.',
    coalesce(a.floor::text, 'none'), coalesce(a.ceiling::text, 'none'), coalesce(e.least, 0), coalesce(e.most, 0), a.balance,
    a.held
)
from accounts as a
left join (
    select tenant_id, account_id, min(balance_after) as least, max(balance_after) as most
    from entries
    where $1::uuid is null or tenant_id = $1
    group by tenant_id, account_id
) as e on e.tenant_id = a.tenant_id and e.account_id = a.id
where ($1::uuid is null or a.tenant_id = $1)
    and (
        a.balance::numeric - a.held < a.floor or a.balance > a.ceiling or a.floor = 0 and e.least < 0
        or a.ceiling = 0 and e.most > 0
    )
"""

# Both halves of every transfer are there: equal and opposite, each naming the other.
HALVES = """
select tenant_id, journal_id, format('Leg %s is not two entries that sum to nothing and name each other.', leg)
from (
    select tenant_id, journal_id, leg, account_id, counterpart_id, amount,
        count(*) over (partition by tenant_id, journal_id, leg) as halves,
        lag(account_id) over halves as other_account,
        lag(counterpart_id) over halves as other_counterpart,
        lag(amount) over halves as other_amount,
        row_number() over halves as half
    from entries
    where $1::uuid is null or tenant_id = $1
    window halves as (partition by tenant_id, journal_id, leg order by amount)
) as e
where halves <> 2 and half = 1
    or halves = 2 and half = 2 and (
        amount::numeric + other_amount <> 0 or account_id <> other_counterpart or counterpart_id <> other_account
        or account_id = counterpart_id
    )
"""

ZERO = """
select tenant_id, merchant_id, format('The balances of its book in %s sum to %s.', currency, sum(balance))
from accounts
where $1::uuid is null or tenant_id = $1
group by tenant_id, merchant_id, currency
having sum(balance) <> 0
"""

BELONGING = """
select e.tenant_id, e.journal_id, case
    when j.id is null then format('Account %s has an entry of it, but there is no such journal.', e.account_id)
    else format('Its book is (%s, %s), but it moved account %s of another.', j.merchant_id, j.currency, e.account_id)
end
from entries as e
left join journals as j on j.tenant_id = e.tenant_id and j.id = e.journal_id
left join accounts as a on a.tenant_id = e.tenant_id and a.id = e.account_id
where ($1::uuid is null or e.tenant_id = $1)
    and (j.id is null or a.merchant_id <> j.merchant_id or a.currency <> j.currency)
"""

LEGS = """
select j.tenant_id, j.id, format('It has %s legs, numbered up to %s.', coalesce(e.legs, 0), coalesce(e.last, 0))
from journals as j
left join (
    select tenant_id, journal_id, count(distinct leg) as legs, max(leg) as last
    from entries
    where $1::uuid is null or tenant_id = $1
    group by tenant_id, journal_id
) as e on e.tenant_id = j.tenant_id and e.journal_id = j.id
where ($1::uuid is null or j.tenant_id = $1) and (e.legs is null or e.legs <> e.last)
"""

HELD = """
select coalesce(a.tenant_id, h.tenant_id), coalesce(a.id, h.account_id), case
    when a.id is null then 'It has holds, but there is no such account.'
    else format('Its row says %s are held; its open holds sum to %s.', a.held, coalesce(h.total, 0))
end
from (select tenant_id, id, held from accounts where $1::uuid is null or tenant_id = $1) as a
full join (
    select h.tenant_id, h.account_id, sum(h.amount) as total
    from holds as h
    where ($1::uuid is null or h.tenant_id = $1)
        and not exists (select from hold_resolutions as r where r.tenant_id = h.tenant_id and r.hold_id = h.id)
    group by h.tenant_id, h.account_id
) as h on h.tenant_id = a.tenant_id and h.account_id = a.id
where a.id is null and h.total is not null or a.held <> coalesce(h.total, 0)
"""

ONCE = """
select tenant_id, hold_id, format('It was resolved %s times.', count(*))
from hold_resolutions
where $1::uuid is null or tenant_id = $1
group by tenant_id, hold_id
having count(*) > 1
"""

# What a resolution says was captured is what its journal took from the account that was held.
CAPTURED = """
select r.tenant_id, r.hold_id, format(
    'It held %s and was %s: %s captured, and its journal took %s.', h.amount, r.kind, r.captured, coalesce(taken.amount, 0)
)
from hold_resolutions as r
left join holds as h on h.tenant_id = r.tenant_id and h.id = r.hold_id
left join (
    select e.tenant_id, e.account_id, e.journal_id, -sum(e.amount) as amount
    from entries as e
    where ($1::uuid is null or e.tenant_id = $1) and e.amount < 0
        and (e.tenant_id, e.journal_id) in (select tenant_id, journal_id from hold_resolutions)
    group by e.tenant_id, e.account_id, e.journal_id
) as taken on taken.tenant_id = r.tenant_id and taken.account_id = h.account_id and taken.journal_id = r.journal_id
where ($1::uuid is null or r.tenant_id = $1)
    and (
        h.id is null or r.captured > h.amount or r.captured <> coalesce(taken.amount, 0)
        or (r.kind = 'captured') <> (r.captured > 0)
    )
"""

INVARIANTS: Final[Mapping[str, str]] = {
    "an account's entries form a chain": CHAIN,
    "an account's row is the sum of its entries": SUMS,
    "an account stays within its limits": LIMITS,
    "a transfer has two equal and opposite halves": HALVES,
    "a book sums to nothing": ZERO,
    "an entry belongs to a journal of its account's book": BELONGING,
    "a journal's legs are whole": LEGS,
    "what is held is the sum of open holds": HELD,
    "a hold resolves once": ONCE,
    "a capture takes what it says from what was held": CAPTURED,
}
