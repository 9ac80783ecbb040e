"""What partners send about rewards: the attributes that single ones and the lines of a batch share, and how they are read."""

import re
from typing import Annotated, Final

from msgspec import Meta

from tallystick.base import ids
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.routes import Call
from tallystick.merchants import MerchantDirectory, MerchantRef
from tallystick.rewards.model import AMOUNT_MAX

MESSAGE_MAX: Final = 500
CODE_MAX: Final = 100
EMAIL_MAX: Final = 254
KEY_MAX: Final = 255

Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="Minor units of the merchant's currency.")]
Message = Annotated[str, Meta(max_length=MESSAGE_MAX)]
Code = Annotated[str, Meta(max_length=CODE_MAX)]
Email = Annotated[str, Meta(max_length=EMAIL_MAX)]
Phone = Annotated[
    str, Meta(min_length=1, max_length=40, description="E.164, or national format of the merchant's country.")
]
Key = Annotated[str, Meta(min_length=1, max_length=KEY_MAX)]

# One address, an @ between two parts without spaces, a dot in the second: what can be mailed; the rest the mail tells.
EMAIL: Final = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s.\x00-\x1f\x7f]+(\.[^@\s.\x00-\x1f\x7f]+)+")


async def merchant(directory: MerchantDirectory, call: Call, named: str | None) -> MerchantRef:
    """The merchant that a request is for. Raises InvalidRequest at merchantId: unknown, not allowed, or to be named."""
    if named is None:
        return directory.resolve_cached(call.caller, None) or await directory.resolve(call.caller, None)
    merchant_id = ids.parse(named)
    if merchant_id is None:
        raise InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    return directory.resolve_cached(call.caller, merchant_id) or await directory.resolve(call.caller, merchant_id)


def text(sent: str | None) -> str | None:
    """Blank text is absent."""
    return None if sent is None or not sent.strip() else sent


def email(sent: str | None, faults: list[Refusal], place: str = "notificationEmail") -> str | None:
    """The address, blank as absent; what is none is a fault at its place."""
    address = text(sent)
    if address is not None and EMAIL.fullmatch(address) is None:
        faults.append(InvalidRequest("This is not an e-mail address.", source=attribute(place)))
    return address
