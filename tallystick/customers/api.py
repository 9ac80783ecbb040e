"""Users over HTTP, as far as no wallet can be touched: read one, send a one-time code.

What may make a wallet active, and what reads a phone in a merchant's national format, is offered a few floors above.
"""

from typing import Final
from uuid import UUID

import msgspec

from tallystick.base import ids
from tallystick.base.errors import IdempotencyConflict, InvalidState, NotFound, RateLimited
from tallystick.base.idempotency import Answer
from tallystick.base.routes import Call, Reply, Route, Takes
from tallystick.customers import resource
from tallystick.customers.actions import missing, visible
from tallystick.customers.codes import send_code
from tallystick.customers.model import SendCode


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
        errors=(NotFound, InvalidState, RateLimited, IdempotencyConflict),
        keyed=True,
    ),
)
