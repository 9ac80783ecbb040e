"""What partners send of what customers did, and how it is read."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from tallystick.activity.model import AMOUNT_MAX, Identity, Item, Kind, Method, Payment, RecordActivity
from tallystick.base import clock, ids, phone
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.work import Asked, Caller
from tallystick.merchants import MerchantRef

Money = Annotated[int, Meta(ge=0, le=AMOUNT_MAX, description="Minor units.")]
Word = Annotated[str, Meta(min_length=1, max_length=100)]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
SourceId = Annotated[str, Meta(min_length=1, max_length=255, description="Your name for it, never given to another.")]
Currency = Annotated[
    str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217; the merchant's unless told. Others count for nothing.")
]

OWN: Final = "partner:"
"""How the sources begin that belong to one partner."""

Struct = msgspec.Struct


class SourceAttributes(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """Where it comes from. `system` names a source that several partners send from (`square:L88`); else it is your own."""

    id: SourceId
    created_at: Annotated[str, Meta(max_length=40, description="When it happened.")]
    customer_id: (
        Annotated[str, Meta(min_length=1, max_length=255, description="Your own id of the customer.")] | None
    ) = None
    system: Annotated[str, Meta(pattern="^[!-~]{1,100}$")] | None = None


class CustomerAttributes(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """Whose it is, by one of these."""

    user_id: str | None = None
    phone_number: Annotated[str, Meta(min_length=1, max_length=40)] | None = None
    external_id: Name | None = None
    member_code: Word | None = None
    card_token: Name | None = None


class PaymentAttributes(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """How some of it was paid."""

    amount: Money
    method: Method


class ItemAttributes(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """A line of the receipt. The amount is of the whole line, with tax."""

    amount: Money
    tax: Money = 0
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    category: Word | None = None
    name: Name | None = None
    sku: Word | None = None


class _Anything(Struct, rename="camel", forbid_unknown_fields=True, gc=False, kw_only=True):
    """What all of them have."""

    source: SourceAttributes
    customer: CustomerAttributes | None = None
    merchant_id: str | None = None
    channel: Word | None = None
    location_id: str | None = None
    location_external_id: Name | None = None
    payload: (
        Annotated[dict[str, Any], Meta(description="Your own document; kept sealed, shown to you alone.")] | None
    ) = None


class _Receipt(_Anything, rename="camel", forbid_unknown_fields=True, gc=False, kw_only=True):
    """What has amounts. Lines and payments add up to the amount, where there are any."""

    currency: Currency | None = None
    amount: Money | None = None
    tax: Money | None = None
    payments: Annotated[list[PaymentAttributes], Meta(max_length=50)] = msgspec.field(default_factory=list)
    items: Annotated[list[ItemAttributes], Meta(max_length=500)] = msgspec.field(default_factory=list)


class TransactionAttributes(_Receipt, rename="camel", forbid_unknown_fields=True, gc=False, kw_only=True):
    """A purchase, or what takes one back: all of it (`Void`), or an amount of it (`Refund`)."""

    type: Literal["Purchase", "Void", "Refund"]
    linked_external_transaction_id: (
        Annotated[str, Meta(min_length=1, max_length=255, description="The source id of what it takes back.")] | None
    ) = None


class OrderAttributes(_Receipt, rename="camel", forbid_unknown_fields=True, gc=False, kw_only=True):
    """An order; its amount may be left out."""


class VisitAttributes(_Anything, rename="camel", forbid_unknown_fields=True, gc=False, kw_only=True):
    """A visit."""


Sent = TransactionAttributes | OrderAttributes | VisitAttributes


def source(caller: Caller, kind: Kind, system: str | None) -> str:
    """The source that a partner sends from: one of its own for each kind, unless it names a system."""
    return f"{OWN}{caller.partner_id}:{kind}" if system is None else system


def command(
    asked: Asked, kind: Kind, sent: Sent, merchant: MerchantRef, places: dict[str, UUID], faults: list[Refusal]
) -> RecordActivity | None:
    """What the document tells; None with every fault of it. `places` are the merchant's locations by their external ids."""
    found = len(faults)
    if sent.source.system is not None and sent.source.system.startswith(OWN):
        faults.append(InvalidRequest(f"A system's name does not begin with {OWN}", source=attribute("source/system")))
    try:
        occurred_at = clock.parse_instant(sent.source.created_at)
    except ValueError as wrong:
        faults.append(InvalidRequest(str(wrong), source=attribute("source/createdAt")))
        occurred_at = None
    identity = _identity(sent, merchant, faults)
    location_id = _location(sent, places, faults)
    amounts = _amounts(sent, faults) if isinstance(sent, _Receipt) else {}
    if len(faults) > found or occurred_at is None:
        return None
    return RecordActivity(
        asked=asked,
        kind=kind,
        type=sent.type if isinstance(sent, TransactionAttributes) else "Visit" if kind == "visit" else "Order",
        merchant_id=merchant.id,
        source=source(asked.caller, kind, sent.source.system),
        source_id=sent.source.id,
        occurred_at=occurred_at,
        identity=identity,
        channel=sent.channel,
        location_id=location_id,
        linked_source_id=sent.linked_external_transaction_id if isinstance(sent, TransactionAttributes) else None,
        payload=None if sent.payload is None else msgspec.json.encode(sent.payload),
        **amounts,
    )


def _identity(sent: Sent, merchant: MerchantRef, faults: list[Refusal]) -> Identity | None:
    named = sent.customer
    if named is None:
        return None if sent.source.customer_id is None else Identity("externalId", sent.source.customer_id)
    given = [name for name in named.__struct_fields__ if getattr(named, name) is not None]
    if len(given) != 1:
        faults.append(InvalidRequest("Name the customer by exactly one of these.", source=attribute("customer")))
        return None
    if named.user_id is not None:
        user_id = ids.parse(named.user_id)
        if user_id is None:
            faults.append(InvalidRequest("This is no id of a user.", source=attribute("customer/userId")))
            return None
        return Identity("userId", str(user_id))
    if named.phone_number is not None:
        try:
            return Identity("phone", phone.normalise(named.phone_number, merchant.country))
        except phone.ImpossiblePhone as impossible:
            faults.append(InvalidRequest(str(impossible), source=attribute("customer/phoneNumber")))
            return None
    if named.external_id is not None:
        return Identity("externalId", named.external_id)
    if named.member_code is not None:
        return Identity("memberCode", named.member_code)
    assert named.card_token is not None, "one of them was given"
    return Identity("cardToken", named.card_token)


def _location(sent: Sent, places: dict[str, UUID], faults: list[Refusal]) -> UUID | None:
    if sent.location_id is not None and sent.location_external_id is not None:
        detail = "Name the location by its id, or by your own id of it."
        faults.append(InvalidRequest(detail, source=attribute("locationExternalId")))
        return None
    if sent.location_external_id is not None:
        found = places.get(sent.location_external_id)
        if found is None:
            detail = "The merchant has no location of this external id."
            faults.append(InvalidRequest(detail, source=attribute("locationExternalId")))
        return found
    if sent.location_id is None:
        return None
    location_id = ids.parse(sent.location_id)
    if location_id is None:
        faults.append(InvalidRequest("This is no id of a location.", source=attribute("locationId")))
    return location_id


def _amounts(sent: _Receipt, faults: list[Refusal]) -> dict[str, Any]:
    items = tuple(Item(line.amount, line.tax, line.quantity, line.category) for line in sent.items)
    payments = tuple(Payment(paid.amount, paid.method) for paid in sent.payments)
    lines = payments or items
    amount = sent.amount
    if amount is None and not lines and isinstance(sent, TransactionAttributes) and sent.type != "Void":
        detail = "The attribute amount is required where there are neither payments nor items."
        faults.append(InvalidRequest(detail, source=attribute("amount")))
    if amount is None:
        amount = sum(line.amount for line in lines)
    return {
        "currency": sent.currency,
        "amount": amount,
        "tax": sum(item.tax for item in items) if sent.tax is None else sent.tax,
        "items": items,
        "payments": payments,
    }
