"""What refunds and voids do to what they take back, in whatever order the two come."""

from collections.abc import Sequence
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from tallystick.activity.model import ADDING, Attribution, Type
from tallystick.thresholds.model import Move, Standing

ABSENT = Standing("absent")


class Counting(Protocol):
    """What adds to progress, as its row stands or will stand."""

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
    """What takes something back."""

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


class Waited(msgspec.Struct, frozen=True, gc=False):
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


decode_waited = msgspec.json.Decoder(list[Waited]).decode


def standing(of: Counting) -> Standing:
    """How it stands towards progress. Nothing counts that was voided or rejected, or whose customer nobody knows."""
    if of.customer_id is None or of.voided or of.attribution == "rejected" or of.type not in ADDING:
        return ABSENT
    state: Literal["pending", "counted"] = "pending" if of.attribution == "pending" else "counted"
    return Standing(state, of.returned_amount, of.returned_units)


def take_back(target: Counting, by: Return) -> bool:
    """Note a return on what it takes back; whether it does: of the same merchant, a refund also in the same currency."""
    if target.type not in ADDING or target.merchant_id != by.merchant_id:
        return False
    if by.type == "Void":
        target.voided = True
        return True
    if target.currency != by.currency:
        return False
    target.returned_amount += by.amount
    target.returned_units += by.units
    return True


def moves(before: Sequence[tuple[Counting, Standing]]) -> list[Move]:
    """The moves of those that stand otherwise than before."""
    found = ((each.id, was, standing(each)) for each, was in before)
    return [Move(activity_id, was, now) for activity_id, was, now in found if was != now]
