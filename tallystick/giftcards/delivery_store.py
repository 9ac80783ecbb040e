"""Every statement on `gift_card_deliveries`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from tallystick.base import ids
from tallystick.base.work import Asked, Work
from tallystick.giftcards.sent import DeliveryWish, Letter

INSERT: Final = """
insert into gift_card_deliveries (
    tenant_id, id, card_id, partner_id, client_id, request_id, channel, content_sealed, address_index, deliver_at, created_at
)
select $1, wish.id, wish.card_id, wish.partner_id, wish.client_id, wish.request_id, wish.channel, wish.content_sealed,
    wish.address_index, wish.deliver_at, $2
from unnest(
    $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::text[], $9::bytea[], $10::bytea[], $11::timestamptz[]
) as wish (id, card_id, partner_id, client_id, request_id, channel, content_sealed, address_index, deliver_at)
"""

ERASE: Final = """
update gift_card_deliveries
set content_sealed = null, cancelled_at = case when sent_at is null then coalesce(cancelled_at, $3::timestamptz) end
where tenant_id = $1 and address_index = any($2::bytea[]) and content_sealed is not null
"""

# A card that is pending or frozen waits; it is sent when it can be used, but never before its time. One that ended is due as well:
# its delivery is called off.
WAITING: Final = """
from gift_card_deliveries as d
cross join lateral (
    select c.status, greatest(d.deliver_at, c.updated_at) as since
    from gift_cards as c
    where c.tenant_id = d.tenant_id and c.id = d.card_id and c.status not in ('pending', 'frozen')
) as card
where d.tenant_id = {tenant} and d.sent_at is null and d.cancelled_at is null
"""
NEXT_DUE: Final = f"select min(card.since) {WAITING.format(tenant='$1')}"
DUE: Final = f"select d.id, d.card_id {WAITING.format(tenant='$1')} and card.since <= $2 order by card.since limit $3"

LOCK: Final = """
select id, card_id, partner_id, client_id, request_id, channel, content_sealed, deliver_at, sent_at, cancelled_at, created_at
from gift_card_deliveries
where tenant_id = $1 and id = any($2::uuid[])
order by id
for update
"""

OF_CARD: Final = """
select id, card_id, partner_id, client_id, request_id, channel, content_sealed, deliver_at, sent_at, cancelled_at, created_at
from gift_card_deliveries
where tenant_id = $1 and card_id = $2
order by created_at, id
"""

SENT: Final = """
update gift_card_deliveries set sent_at = $3, attempts = attempts + 1 where tenant_id = $1 and id = any($2::uuid[])
"""

# Whoever is not to be written to is forgotten.
CANCELLED: Final = """
update gift_card_deliveries set cancelled_at = $3, content_sealed = null where tenant_id = $1 and id = any($2::uuid[])
"""

# Which tenants have cards to deliver, and the earliest; a sandbox looks at its own clock.
DISCOVERY_DUE: Final = f"""
select t.id, t.programme_id, t.environment, earliest.deadline
from tenants as t
cross join lateral (select min(card.since) as deadline {WAITING.format(tenant="t.id")}) as earliest
where earliest.deadline <= $1::timestamptz + t.clock_offset
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as its row stands."""

    id: UUID
    card_id: UUID
    partner_id: UUID
    client_id: UUID
    request_id: UUID
    channel: Literal["email", "sms"]
    content_sealed: bytes | None
    deliver_at: datetime
    sent_at: datetime | None
    cancelled_at: datetime | None
    created_at: datetime

    @property
    def waits(self) -> bool:
        return self.sent_at is None and self.cancelled_at is None


async def insert(work: Work, wished: Sequence[tuple[UUID, Asked, DeliveryWish]]) -> None:
    """Insert deliveries of cards, their content sealed."""
    if not wished:
        return
    named = [(ids.new(), *each) for each in wished]
    await work.db.run(
        INSERT,
        work.tenant.id,
        work.now,
        [delivery_id for delivery_id, _, _, _ in named],
        [card_id for _, card_id, _, _ in named],
        [asked.caller.partner_id for _, _, asked, _ in named],
        [asked.caller.client_id for _, _, asked, _ in named],
        [asked.request_id for _, _, asked, _ in named],
        [wish.channel for _, _, _, wish in named],
        [work.keys.seal(msgspec.msgpack.encode(wish.letter), _place(one)) for one, _, _, wish in named],
        [address_index(work, wish.letter.to) for _, _, _, wish in named],
        [wish.deliver_at or work.now for _, _, _, wish in named],
    )


def address_index(work: Work, address: str) -> bytes:
    """What finds the deliveries to an e-mail address or a phone, whoever of them is erased: keyed, so that it tells nothing."""
    return work.keys.blind_index(work.tenant.id, f"delivery:{address.casefold()}")


async def erase(work: Work, addresses: Sequence[str]) -> None:
    """Forget what was sent to these addresses, and send them nothing more."""
    await work.db.run(ERASE, work.tenant.id, [address_index(work, each) for each in addresses], work.now)


def letter(work: Work, delivery: Delivery) -> Letter:
    """What is to be said, to whom. Raises Unsealable."""
    assert delivery.content_sealed is not None, "what was called off is not sent"
    return msgspec.msgpack.decode(work.keys.open_sealed(delivery.content_sealed, _place(delivery.id)), type=Letter)


async def next_due(work: Work) -> datetime | None:
    """When the next card can be sent, or its delivery is to be called off."""
    instant: datetime | None = await work.db.value(NEXT_DUE, work.tenant.id)
    return instant


async def due(work: Work, limit: int) -> list[tuple[UUID, UUID]]:
    """(delivery, card) of what is due at `work.now`, earliest first."""
    return [(row[0], row[1]) for row in await work.db.rows(DUE, work.tenant.id, work.now, limit)]


async def lock(work: Work, delivery_ids: Sequence[UUID]) -> list[Delivery]:
    """Deliveries, locked; after their cards."""
    return [Delivery(*row) for row in await work.db.rows(LOCK, work.tenant.id, delivery_ids)]


async def of_card(work: Work, card_id: UUID) -> list[Delivery]:
    """Every delivery of a card, oldest first; stable under the card's lock."""
    return [Delivery(*row) for row in await work.db.rows(OF_CARD, work.tenant.id, card_id)]


async def sent(work: Work, delivery_ids: Sequence[UUID]) -> None:
    """They were handed to the senders."""
    await work.db.run(SENT, work.tenant.id, delivery_ids, work.now)


async def cancelled(work: Work, delivery_ids: Sequence[UUID]) -> None:
    """They are called off, and their content is destroyed."""
    await work.db.run(CANCELLED, work.tenant.id, delivery_ids, work.now)


def _place(delivery_id: UUID) -> bytes:
    return b"gift-card-delivery:" + delivery_id.bytes
