"""Customers who return often: told of once in a window, so that somebody looks. It counts, and judges nobody.

Where a merchant sets `returnCountSignal`, so many refunds and voids of a customer's purchases there within `returnWindowDays` until
now are told of as `customer.returns_suspicious`; for as many days nothing more is. What is told are numbers: nothing is refused,
held back or taken for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from tallystick import events
from tallystick.activity.landing import Landing
from tallystick.activity.model import ADDING
from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.base.work import Contended, Work
from tallystick.customers.resource import USER

TOPIC: Final = "customer.returns_suspicious"

# The customers behind purchases that were taken back just now, at merchants who want to be told. A signal that another work told at
# the same instant takes the number; then this one is to look again.
SIGNAL: Final = """
with concerned as (
    select a.customer_id, a.merchant_id, min(a.id::text)::uuid as purchase_id
    from activities as a
    where a.tenant_id = $1 and a.id = any($2::uuid[]) and a.customer_id is not null
        and a.type in ('Purchase', 'Visit', 'Order')
    group by a.customer_id, a.merchant_id
),
often as materialized (
    select c.customer_id, c.merchant_id, c.purchase_id, t.return_window_days as days, r.returns
    from concerned as c
    join activity_terms as t on t.tenant_id = $1 and t.merchant_id = c.merchant_id and t.return_count_signal is not null
    cross join lateral (
        select count(*)::integer as returns
        from (
            select held.id, held.merchant_id
            from activities as held
            where held.tenant_id = $1 and held.customer_id = c.customer_id and held.type in ('Purchase', 'Visit', 'Order')
                and (held.returned_amount > 0 or held.returned_units > 0 or held.voided)
            offset 0  -- a fence: found by customer, whatever the statistics of a young table say
        ) as p
        cross join lateral (
            select held.attribution, held.occurred_at, held.voided
            from activities as held
            where held.tenant_id = $1 and held.linked_id = p.id
            offset 0  -- a fence, as above
        ) as b
        where p.merchant_id = c.merchant_id and b.attribution <> 'rejected' and not b.voided
            and b.occurred_at > $3::timestamptz - make_interval(days => t.return_window_days)
    ) as r
    where r.returns >= t.return_count_signal and not exists (
        select from return_signals as s
        where s.tenant_id = $1 and s.customer_id = c.customer_id and s.merchant_id = c.merchant_id and s.until_at > $3
    )
),
told as (
    insert into return_signals (
        tenant_id, customer_id, sequence, merchant_id, returns, window_days, told_at, until_at
    )
    select $1, o.customer_id,
        coalesce((
            select max(s.sequence) from return_signals as s where s.tenant_id = $1 and s.customer_id = o.customer_id
        ), 0) + row_number() over (partition by o.customer_id order by o.merchant_id),
        o.merchant_id, o.returns, o.days, $3, $3::timestamptz + make_interval(days => o.days)
    from often as o
    order by o.customer_id, o.merchant_id
    on conflict (tenant_id, customer_id, sequence) do nothing
    returning customer_id, merchant_id, sequence
)
select o.customer_id, o.merchant_id, o.purchase_id, o.returns, o.days, told.sequence, u.partner_id
from often as o
join customers as u on u.tenant_id = $1 and u.id = o.customer_id
left join told on told.customer_id = o.customer_id and told.merchant_id = o.merchant_id
order by o.customer_id, told.sequence
"""


class ReturnsToldAttributes(msgspec.Struct, rename="camel", gc=False):
    """How many purchases a user took back at a merchant, in whole or part, in the days until then."""

    merchant_id: str
    returns: int
    window_days: int
    since: str
    until: str


EXAMPLE: Final[dict[str, Any]] = {
    "merchantId": "0199d3c0-61aa-7b09-8c1e-5f0b7d2e4a31",
    "returns": 5,
    "windowDays": 30,
    "since": "2026-05-18T12:00:00.000Z",
    "until": "2026-06-17T12:00:00.000Z",
}
RETURNS_EVENT: Final = Resource("User", USER.path, ReturnsToldAttributes, EXAMPLE)


@dataclass(frozen=True, slots=True)
class Signal:
    """A customer who returned so often at a merchant, and a purchase that came back; `sequence` counts what was told of them."""

    customer_id: UUID
    merchant_id: UUID
    purchase_id: UUID
    returns: int
    days: int
    sequence: int | None
    partner_id: UUID


async def signal(work: Work, landing: Landing) -> None:
    """Tell of whoever returns too often since this landing. Raises Contended where others told of the same customer just now."""
    behind = dict(_taken_back(landing))
    if not behind:
        return
    for row in await work.db.rows(SIGNAL, work.tenant.id, list(behind), work.now):
        found = Signal(*row)
        if found.sequence is None:
            raise Contended("Another work told of the same customer.")
        events.record(work, _event(found, found.sequence, work.now, behind[found.purchase_id]))


def _taken_back(landing: Landing) -> Iterator[tuple[UUID, UUID]]:
    """What was taken back now, by what landed or as it landed by what had waited for it; each with the request behind that."""
    for each in landing.landed:
        if each.type in ADDING:
            if each.voided or each.returned_amount or each.returned_units:
                yield each.id, each.command.asked.request_id
        elif each.linked_id is not None:
            yield each.linked_id, each.command.asked.request_id


def _event(found: Signal, sequence: int, now: datetime, request_id: UUID) -> events.Event:
    told = ReturnsToldAttributes(
        merchant_id=str(found.merchant_id),
        returns=found.returns,
        window_days=found.days,
        since=clock.render(now - timedelta(days=found.days)),
        until=clock.render(now),
    )
    return events.Event(
        topic=TOPIC,
        subject_type="User",
        subject_id=found.customer_id,
        sequence=sequence,
        document=jsonapi.resource(RETURNS_EVENT, found.customer_id, told),
        partner_id=found.partner_id,
        merchant_id=found.merchant_id,
        request_id=request_id,
    )
