"""The reading of what lots hold at an instant, by stretches of account ids."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base.work import Work

AGES: Final = ("0-30", "31-90", "91-180", "181-365", "366+")
"""Whole days since a lot came into being."""
EXPIRIES: Final = ("expired", "0-30", "31-90", "91-180", "181-365", "366+", "never")
"""Whole days until a lot expires. What is expired and still there is held by a payment, or about to be booked."""

# Lots of a stretch of ids, with what they held just before an instant and when they last moved, by the last entry before it: lots
# have few.
STOCK: Final = """
select a.id, a.code, a.parent_id, coalesce(a.lot_class, 'unclaimed') as value_class, a.opened_at, a.expires_at, moved.balance_after,
    moved.at
from accounts as a,
    lateral (
        select e.balance_after, e.at
        from entries as e
        where e.tenant_id = $1 and e.account_id = a.id and e.at < $5
        order by e.version desc
        limit 1
    ) as moved
where a.tenant_id = $1 and a.id > $2 and ($3::uuid is null or a.id <= $3) and a.merchant_id = $4 and a.opened_at < $5
    and (a.lot_class is not null or a.code = 'reward.unclaimed') and moved.balance_after > 0
"""

AGED: Final = f"""
select stock.value_class,
    width_bucket(extract(epoch from $5 - stock.opened_at)::bigint / 86400, array[31, 91, 181, 366]::bigint[]),
    case
        when stock.expires_at is null then 6
        when stock.expires_at <= $5 then 0
        else 1 + width_bucket(extract(epoch from stock.expires_at - $5)::bigint / 86400, array[31, 91, 181, 366]::bigint[])
    end,
    count(*), sum(stock.balance_after)::bigint
from ({STOCK}) as stock
group by 1, 2, 3
"""

DORMANT: Final = f"""
select stock.code, stock.parent_id, stock.id, stock.value_class, stock.balance_after, stock.opened_at, stock.at, stock.expires_at
from ({STOCK}) as stock
where stock.at < $6 and stock.parent_id is not null
order by stock.id
"""


@dataclass(frozen=True, slots=True)
class Aged:
    """Lots of one class, age and expiry: numbers into AGES and EXPIRIES."""

    value_class: str
    age: int
    expiry: int
    lots: int
    amount: int


@dataclass(frozen=True, slots=True)
class Dormant:
    """A lot that holds value and has not moved for long. The holder is a wallet or a gift card."""

    code: str
    holder_id: UUID
    lot_id: UUID
    value_class: str
    amount: int
    opened_at: datetime
    last_moved_at: datetime
    expires_at: datetime | None

    @property
    def holder(self) -> str:
        return {"wallet.lot": "wallet", "card.lot": "giftCard"}[self.code]


async def ages(work: Work, first: UUID, last: UUID | None, merchant_id: UUID, before: datetime) -> list[Aged]:
    """What the lots of a stretch of ids held just before an instant, by class, age and expiry."""
    return [Aged(*row) for row in await work.db.rows(AGED, work.tenant.id, first, last, merchant_id, before)]


async def dormant(
    work: Work, first: UUID, last: UUID | None, merchant_id: UUID, before: datetime, still_since: datetime
) -> list[Dormant]:
    """Lots of a stretch of ids that held value just before an instant, and last moved before another."""
    rows = await work.db.rows(DORMANT, work.tenant.id, first, last, merchant_id, before, still_since)
    return [Dormant(*row) for row in rows]
