"""What refunds and voids do to what they take back, in whatever order they come.

A refund takes its amount off a purchase; a void takes a purchase back whole, or a refund, as if that had never been. Nothing takes
a void back.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol, TypeVar
from uuid import UUID

import msgspec

import tallystick.activity.changing_store as store
from tallystick.activity.looking import Purchase
from tallystick.activity.model import ADDING, Attribution, Type
from tallystick.base.work import Work
from tallystick.thresholds.model import Move, Standing

ABSENT = Standing("absent")


class Counting(Protocol):
    """What adds to progress, or a refund, as its row stands or will stand."""

    id: UUID
    customer_id: UUID | None
    currency: str
    attribution: Attribution
    returned_amount: int
    returned_units: int
    voided: bool

    @property
    def type(self) -> Type: ...
    @property
    def merchant_id(self) -> UUID: ...


class Return(Protocol):
    """What takes something back. A refund that was voided itself takes nothing back."""

    voided: bool

    @property
    def type(self) -> Type: ...
    @property
    def merchant_id(self) -> UUID: ...
    @property
    def currency(self) -> str: ...
    @property
    def amount(self) -> int: ...
    @property
    def units(self) -> int: ...


class Waited(msgspec.Struct, gc=False):
    """A refund or void that came before what it takes back."""

    id: UUID
    type: Type
    merchant_id: UUID
    currency: str
    attribution: Attribution
    amount: int
    units: int
    source: str
    linked_source_id: str
    voided: bool


Returning = TypeVar("Returning", bound=Return)

decode_waited = msgspec.json.Decoder(list[Waited]).decode


def standing(of: Counting) -> Standing:
    """How it stands towards progress. Nothing counts that was voided or rejected, or whose customer nobody knows."""
    if of.customer_id is None or of.voided or of.attribution == "rejected" or of.type not in ADDING:
        return ABSENT
    state: Literal["pending", "counted"] = "pending" if of.attribution == "pending" else "counted"
    return Standing(state, of.returned_amount, of.returned_units)


def take_back(target: Counting, by: Return) -> bool:
    """Note a return on what it takes back; whether it is one of that: of the same merchant, a refund also in the same currency."""
    if target.merchant_id != by.merchant_id:
        return False
    if by.type == "Void":
        target.voided = target.voided or target.type != "Void"
        return target.type != "Void"
    if target.type not in ADDING or target.currency != by.currency:
        return False
    if not by.voided:
        target.returned_amount += by.amount
        target.returned_units += by.units
    return True


def voids_first(returns: Iterable[Returning]) -> list[Returning]:
    """Refunds and voids in the order in which they take back: of a refund it is known then that this work voids it."""
    return sorted((each for each in returns if each.type not in ADDING), key=lambda each: each.type != "Void")


def takes(refund: Counting) -> bool:
    """Whether a refund takes anything back."""
    return refund.type == "Refund" and not refund.voided and refund.attribution != "rejected"


async def restore(
    work: Work,
    touched: dict[UUID, tuple[Purchase, Standing]],
    links: Mapping[UUID, UUID],
    landed: Iterable[Counting],
    purchases: Mapping[UUID, Purchase],
) -> dict[UUID, UUID]:
    """Give back what refunds took that are there and were voided just now; the refund behind each activity that has more since.

    `links` are of refunds that had waited until now, and so have taken back in this work already; what was there before and is
    changed comes to `touched`, with how it stood. `purchases` are those of it that are locked.
    """
    voided = [each.id for each, _ in touched.values() if each.type == "Refund" and each.attribution != "rejected"]
    if not voided:
        return {}
    refunds = await store.lock(work, voided)
    # One statement writes what is touched and what is linked, and writes no row twice.
    if linked := [touched.pop(refund_id)[0] for refund_id in voided if refund_id in links]:
        await store.write_returns(work, linked)
    behind = {
        refund.id: target
        for refund, row in refunds.values()
        if takes(refund) and (target := links.get(refund.id, row["linked_id"])) is not None
    }
    here = {each.id: each for each in landed}
    wanted = {target for target in behind.values() if target not in here and target not in purchases}
    found = {**purchases, **{id_: each for id_, (each, _) in (await store.lock(work, list(wanted))).items()}}
    restored = {}
    for refund_id, target_id in behind.items():
        target = here.get(target_id) or _touched(touched, found.get(target_id))
        if target is None:
            continue  # detached
        row = refunds[refund_id][1]
        target.returned_amount -= row["amount"]
        target.returned_units -= row["units"]
        restored[target_id] = refund_id
    return restored


def _touched(touched: dict[UUID, tuple[Purchase, Standing]], purchase: Purchase | None) -> Purchase | None:
    if purchase is not None and purchase.id not in touched:
        touched[purchase.id] = (purchase, standing(purchase))
    return purchase


def moves(before: Sequence[tuple[Counting, Standing]]) -> list[Move]:
    """The moves of those that stand otherwise than before."""
    found = ((each.id, was, standing(each)) for each, was in before)
    return [Move(activity_id, was, now) for activity_id, was, now in found if was != now]
