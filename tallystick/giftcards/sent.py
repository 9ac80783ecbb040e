"""What partners send about gift cards: the attributes that single cards and batches share, and how they are read."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from tallystick.base import clock, ids, phone
from tallystick.base.errors import InvalidRequest, Refusal, attribute, parameter
from tallystick.base.routes import Call
from tallystick.giftcards.model import AMOUNT_MAX
from tallystick.merchants import MerchantDirectory, MerchantRef

KEY_MAX: Final = 255
REFERENCE_MAX: Final = 255
MESSAGE_MAX: Final = 500
NAME_MAX: Final = 100
ADDRESS_MAX: Final = 254

Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="Minor units of the merchant's currency.")]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description="The merchant's currency, to be checked.")]
Key = Annotated[str, Meta(min_length=1, max_length=KEY_MAX)]
Reference = Annotated[str, Meta(max_length=REFERENCE_MAX)]
Instant = Annotated[str, Meta(max_length=40, description="RFC 3339, with Z or an offset.")]
ValueClass = Annotated[
    Literal["paid", "promotional"],
    Meta(description="Whether it is sold for money, or given away and paid for from the merchant's funding."),
]
Message = Annotated[str, Meta(max_length=MESSAGE_MAX)]
Name = Annotated[str, Meta(max_length=NAME_MAX)]
Address = Annotated[
    str, Meta(min_length=1, max_length=ADDRESS_MAX, description="An e-mail address, or a phone number for sms.")
]

# One address, an @ between two parts without spaces, a dot in the second: what can be mailed; the rest the mail tells.
EMAIL: Final = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s.\x00-\x1f\x7f]+(\.[^@\s.\x00-\x1f\x7f]+)+")


class DeliveryAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """Where a card is sent, and what is said with it; at once unless told when."""

    channel: Literal["email", "sms"]
    to: Address
    deliver_at: Instant | None = None
    message: Message | None = None
    recipient_name: Name | None = None
    sender_name: Name | None = None


class Letter(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is sealed of a delivery: who gets it, from whom, and what is said. `to` is E.164 or an e-mail address."""

    to: str
    message: str | None
    recipient_name: str | None
    sender_name: str | None


class DeliveryWish(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A delivery as it is to be made."""

    channel: Literal["email", "sms"]
    letter: Letter
    deliver_at: datetime | None
    """None: at once."""


async def merchant(directory: MerchantDirectory, call: Call, named: str | None) -> MerchantRef:
    """The merchant that a request is for. Raises InvalidRequest at merchantId: unknown, not allowed, or to be named."""
    merchant_id = None if named is None else ids.parse(named)
    if named is not None and merchant_id is None:
        raise unknown_merchant()
    return directory.resolve_cached(call.caller, merchant_id) or await directory.resolve(call.caller, merchant_id)


def unknown_merchant() -> InvalidRequest:
    """The refusal for a merchant that is not there, or not for this caller."""
    return InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))


def text(sent: str | None) -> str | None:
    """Blank text is absent."""
    return None if sent is None or not sent.strip() else sent


def instant(sent: str | None, place: str, faults: list[Refusal]) -> datetime | None:
    """The instant in whole milliseconds; what is none is a fault at its place."""
    if sent is None:
        return None
    try:
        at = clock.parse_instant(sent)
    except ValueError as wrong:
        faults.append(InvalidRequest(str(wrong), source=attribute(place)))
        return None
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def resource_id(sent: str | None, place: str, detail: str, faults: list[Refusal]) -> UUID | None:
    """The id that was sent; what is none is a fault that says the same as one that is not there."""
    if sent is None:
        return None
    found = ids.parse(sent)
    if found is None:
        faults.append(InvalidRequest(detail, source=attribute(place)))
    return found


def filter_id(call: Call, name: str, faults: list[Refusal]) -> UUID | None:
    """The id that a filter names; what is none is a fault."""
    named = call.query.get(name)
    found = None if named is None else ids.parse(named)
    if named is not None and found is None:
        faults.append(InvalidRequest("An id is wanted.", source=parameter(name)))
    return found


def delivery(
    sent: DeliveryAttributes | None, country: str, faults: list[Refusal], under: str = "delivery/"
) -> DeliveryWish | None:
    """The delivery that is wished for. `country` is where national phone numbers are read, `under` where it stands."""
    if sent is None:
        return None
    deliver_at = instant(sent.deliver_at, f"{under}deliverAt", faults)
    names: Sequence[tuple[str, str | None]] = (
        (f"{under}recipientName", sent.recipient_name),
        (f"{under}senderName", sent.sender_name),
    )
    for place, name in names:
        if name is not None and not name.isprintable():
            faults.append(InvalidRequest("A name is one line of printable characters.", source=attribute(place)))
    letter = Letter(
        _address(sent, country, f"{under}to", faults),
        text(sent.message),
        text(sent.recipient_name),
        text(sent.sender_name),
    )
    return DeliveryWish(sent.channel, letter, deliver_at)


def _address(sent: DeliveryAttributes, country: str, place: str, faults: list[Refusal]) -> str:
    if sent.channel == "email":
        if EMAIL.fullmatch(sent.to) is None:
            faults.append(InvalidRequest("This is not an e-mail address.", source=attribute(place)))
        return sent.to
    try:
        return phone.normalise(sent.to, country)
    except phone.ImpossiblePhone as impossible:
        faults.append(InvalidRequest(str(impossible), source=attribute(place)))
        return sent.to
