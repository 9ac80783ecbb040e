"""Users over HTTP, as far as no wallet can be touched: read one, send a one-time code.

What may make a wallet active, and what reads a phone in a merchant's national format, is offered a few floors above.
"""

from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tallystick.base import ids
from tallystick.base.errors import IdempotencyConflict, InvalidRequest, InvalidState, NotFound, RateLimited, at
from tallystick.base.idempotency import Answer, Erased
from tallystick.base.routes import Call, Reply, Route, Takes
from tallystick.customers import resource, sharing
from tallystick.customers.actions import missing, visible
from tallystick.customers.codes import send_code
from tallystick.customers.lookup import DataKind
from tallystick.customers.model import SendCode
from tallystick.customers.sharing import KINDS, TOKENS_MAX, CardTokenTaken, Share

Token = Annotated[
    str, Meta(min_length=8, max_length=255, description="Your own token of a payment card, never its number.")
]


class NoAttributes(msgspec.Struct, forbid_unknown_fields=True):
    """A verb that needs nothing."""


async def get_user(call: Call) -> Reply:
    """One user."""
    user_id = path_id(call, missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        customer = await visible(work, call.asked, user_id)
    if customer is None:
        raise missing()
    return Reply(200, resource.document(customer), resource_id=user_id)


async def send_user_code(call: Call) -> Reply:
    """Send a one-time code to the user's phone."""
    command = SendCode(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(send_code, call.caller.tenant, command))


class SharingSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What the user permitted you to send of them, all of it; and your own tokens of their payment cards. Absent: as it is."""

    permissions: Annotated[list[DataKind], Meta(max_length=len(KINDS))] | UnsetType = UNSET
    card_tokens: Annotated[list[Token], Meta(max_length=TOKENS_MAX)] | UnsetType = UNSET


async def get_sharing(call: Call) -> Reply:
    """What you may send of a user, and how many payment cards you know them by."""
    user_id = path_id(call, missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        shown = await sharing.shown(work, call.asked, user_id)
    if shown is None:
        raise missing()
    return Reply(200, shown, resource_id=user_id)


async def change_sharing(call: Call) -> Reply:
    """Record what the user permits you to send of them, or by which payment cards you know them."""
    sent: SharingSent = call.attributes
    if sent.permissions is UNSET and sent.card_tokens is UNSET:
        raise InvalidRequest("Name at least one attribute to change.", source=at("/data/attributes"))
    permissions = None if sent.permissions is UNSET else tuple(dict.fromkeys(sent.permissions))
    tokens = None if sent.card_tokens is UNSET else tuple(dict.fromkeys(sent.card_tokens))
    command = Share(call.asked, path_id(call, missing()), permissions, tokens)
    return replied(await call.house.batcher.submit(sharing.share, call.caller.tenant, command))


def path_id(call: Call, otherwise: NotFound) -> UUID:
    """The id in the path; what is no id is missing like one that is unknown."""
    found = ids.parse(call.path["id"])
    if found is None:
        raise otherwise
    return found


def replied(answer: Answer) -> Reply:
    """The answer of a keyed write on its way out."""
    headers = [] if answer.location is None else [("location", answer.location)]
    return Reply(
        answer.status,
        answer.body,
        headers,
        replayed=answer.replayed,
        resource_id=answer.resource_id,
        logged=not answer.replayed,
    )


ONE: Final = f"{resource.USER.path}/{{id}}"

ROUTES: Final = (
    Route(
        "GET", sharing.SHARING.path, get_sharing, "users:read", "Get what you may send of a user",
        gives=sharing.SHARING, errors=(NotFound,),
    ),
    Route(
        "PATCH", sharing.SHARING.path, change_sharing, "users:write", "Record what you may send of a user",
        takes=Takes(SharingSent, ("UserSharing",), {"permissions": ["transactions", "visits"]}), gives=sharing.SHARING,
        errors=(NotFound, InvalidState, IdempotencyConflict, CardTokenTaken), keyed=True,
    ),
    Route("GET", ONE, get_user, "users:read", "Get a user", gives=resource.USER, errors=(NotFound,)),
    Route(
        "POST",
        f"{ONE}/send-code",
        send_user_code,
        "users:write",
        "Send a one-time code to the user's phone",
        takes=Takes(NoAttributes, ("SendCode",), optional=True),
        gives=resource.USER,
        status=202,
        errors=(NotFound, InvalidState, RateLimited, IdempotencyConflict, Erased),
        keyed=True,
    ),
)  # fmt: skip
