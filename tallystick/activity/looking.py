"""What landing must know, read in one round trip under its locks."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

import tallystick.activity.store as store
from tallystick.activity.model import QUOTA, Attribution, RecordActivity, Type
from tallystick.activity.naming import Names
from tallystick.base.work import Work
from tallystick.governance import quotas


class Shop(msgspec.Struct, frozen=True, gc=False):
    """A merchant as landing needs it: its currency, and how it takes activity unless told."""

    id: UUID
    currency: str
    attribution: str
    release_after_days: int | None


class Purchase(msgspec.Struct, gc=False):
    """Something that is there already and is taken back now, locked. What it becomes is written here, then to its row."""

    id: UUID
    type: Type
    merchant_id: UUID
    currency: str
    customer_id: UUID | None
    attribution: Attribution
    returned_amount: int
    returned_units: int
    voided: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What landing decides by. Names are spoken of by number."""

    taken: dict[int, tuple[UUID, UUID | None, bytes]]
    """Names that were there: the partner, the activity (None: only something else refers to it), and its fingerprint."""
    purchases: dict[UUID, Purchase]
    shops: dict[UUID, Shop]
    locations: dict[UUID, UUID]
    """The merchant of each."""
    quotas: quotas.Quotas


_taken = msgspec.json.Decoder(list[tuple[int, UUID, UUID | None, bytes | None]]).decode
_purchases = msgspec.json.Decoder(list[Purchase]).decode
_shops = msgspec.json.Decoder(list[Shop]).decode
_locations = msgspec.json.Decoder(list[tuple[UUID, UUID]]).decode


async def look(work: Work, commands: Sequence[RecordActivity], names: Names) -> Facts:
    """Claim names, lock what is referred to, and only then read."""
    counts: dict[UUID, int] = {}
    for command in commands:
        partner_id = command.asked.caller.partner_id
        counts[partner_id] = counts.get(partner_id, 0) + 1
    row = await store.look(
        work,
        (
            *names.columns(),
            list({command.merchant_id for command in commands}),
            list({command.location_id for command in commands if command.location_id is not None}),
            *quotas.asked([(partner_id, QUOTA, count) for partner_id, count in counts.items()]),
        ),
    )
    return Facts(
        taken={n: (partner_id, held, print_ or b"") for n, partner_id, held, print_ in _taken(row["taken"] or "[]")},
        purchases={purchase.id: purchase for purchase in _purchases(row["purchases"] or "[]")},
        shops={shop.id: shop for shop in _shops(row["merchants"] or "[]")},
        locations=dict(_locations(row["locations"] or "[]")),
        quotas=quotas.read(work, row["quotas"]),
    )
