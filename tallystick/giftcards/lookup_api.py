"""Looking up gift cards by their numbers, and seeing a number again, over HTTP. A number never stands in an address."""

from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tallystick.base import ids
from tallystick.base.errors import InvalidRequest, InvalidState, NotFound, attribute
from tallystick.base.routes import Call, Reply, Route, Takes
from tallystick.customers.api import NoAttributes, path_id
from tallystick.giftcards import resource
from tallystick.giftcards.breaker import LookupsBlocked
from tallystick.giftcards.delivery import missing
from tallystick.giftcards.lookup import CodeRefused, CodeTried, look_up
from tallystick.giftcards.revealing import GIFT_CARD_SECRET, RevealCard, reveal
from tallystick.merchants import MerchantDirectory


class LookUpGiftCardAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """The number as it was typed or scanned, and its PIN where it has one.

    Only cards of the named merchant are found; without a name, those of every merchant that the client may act for.
    """

    code: Annotated[str, Meta(min_length=1, max_length=100)]
    pin: Annotated[str, Meta(min_length=1, max_length=20)] | None = None
    merchant_id: str | None = None


LOOK_UP_EXAMPLE: Final = {"code": "7K3M-9XQ2-B8TR-04ZN-H5WC", "pin": "4821"}


async def look_up_gift_card(directory: MerchantDirectory, call: Call) -> Reply:
    """The card with this number, with what it holds now."""
    wanted: LookUpGiftCardAttributes = call.attributes
    merchant_id = None
    if wanted.merchant_id is not None:
        named = ids.parse(wanted.merchant_id)
        if named is None:
            raise InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
        merchant_id = (await directory.resolve(call.caller, named)).id
    command = CodeTried(call.asked, merchant_id, wanted.code, wanted.pin)
    found = await call.house.batcher.submit(look_up, call.caller.tenant, command)
    return Reply(200, found.document, resource_id=found.card_id)


async def reveal_gift_card(call: Call) -> Reply:
    """The whole number of a card, and its PIN."""
    command = RevealCard(call.asked, path_id(call, missing()))
    revealed = await call.house.batcher.submit(reveal, call.caller.tenant, command)
    return Reply(200, revealed.document, resource_id=revealed.card_id, logged=True)


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """What this part of the room offers over HTTP."""
    cards = resource.GIFT_CARD.path
    return (
        Route(
            "POST", f"{cards}/lookup", partial(look_up_gift_card, directory), "gift-cards:lookup",
            "Look up a gift card by its number", Takes(LookUpGiftCardAttributes, ("LookUpGiftCard",), LOOK_UP_EXAMPLE),
            resource.GIFT_CARD, errors=(CodeRefused, LookupsBlocked),
        ),
        Route(
            "POST", f"{cards}/{{id}}/reveal", reveal_gift_card, "gift-cards:reveal", "See the number of a gift card",
            Takes(NoAttributes, ("RevealGiftCard",), optional=True), GIFT_CARD_SECRET, errors=(NotFound, InvalidState),
        ),
    )  # fmt: skip
