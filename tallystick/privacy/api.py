"""A person's rights over HTTP: what is kept about them, and that nothing is."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tallystick import customers
from tallystick.base.errors import IdempotencyConflict, InvalidState, NotFound
from tallystick.base.routes import Call, Reply, Route, Takes
from tallystick.customers import resource as users
from tallystick.customers.api import NoAttributes, path_id, replied
from tallystick.ledger import ValueHeld
from tallystick.privacy import resource
from tallystick.privacy.erasing import EraseUser, ValueLeft, erase
from tallystick.privacy.exporting import export


class EraseUserAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Why a user is erased, and whether value that they still have ends with them."""

    reason: resource.Reason
    forfeit_value: Annotated[
        bool,
        Meta(
            description="Whether what is left in their wallets is to be forfeited. Without it a user with value stays."
        ),
    ] = False


async def erase_user(call: Call) -> Reply:
    """Erase a user for good, and everybody who was merged into them."""
    sent: EraseUserAttributes = call.attributes
    command = EraseUser(call.asked, path_id(call, customers.missing()), sent.reason, sent.forfeit_value)
    return replied(await call.house.batcher.submit(erase, call.caller.tenant, command))


async def export_user(call: Call) -> Reply:
    """Everything that is kept about a user and that you may see: the newest of each kind, included."""
    user_id = path_id(call, customers.missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        document = await export(work, call.asked, user_id)
    return Reply(200, document, resource_id=user_id)


ONE: Final = f"{users.USER.path}/{{id}}"


def routes() -> tuple[Route, ...]:
    """What this room offers over HTTP."""
    erases = Takes(EraseUserAttributes, ("EraseUser",), {"reason": "personRequest", "forfeitValue": False})
    exports = Takes(NoAttributes, ("ExportUser",), optional=True)
    return (
        Route(
            "POST", f"{ONE}/erase", erase_user, "users:erase", "Erase a user",
            takes=erases, gives=resource.ERASURE, keyed=True,
            errors=(NotFound, InvalidState, ValueHeld, ValueLeft, IdempotencyConflict),
        ),
        Route(
            "POST", f"{ONE}/export", export_user, "users:export", "Export what is kept about a user",
            takes=exports, gives=resource.EXPORT, errors=(NotFound, InvalidState),
        ),
    )  # fmt: skip
