"""Merging users over HTTP."""

import msgspec

from tallystick import customers
from tallystick.base import ids
from tallystick.base.errors import IdempotencyConflict, InvalidRequest, InvalidState, NotFound, attribute
from tallystick.base.routes import Call, Reply, Route, Takes
from tallystick.customers import resource as users
from tallystick.customers.api import NoAttributes, path_id, replied
from tallystick.enrolment import merge_resource
from tallystick.enrolment.merging import MergeUsers, UnmergeUser, merge_users, unmerge_user
from tallystick.wallets.merging import ValueHeld


class MergeUserAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Whom the user turned out to be: another user of yours, who keeps their phone and gets what this one has."""

    into_user_id: str


async def merge_user(call: Call) -> Reply:
    """Make one of two users."""
    sent: MergeUserAttributes = call.attributes
    into = ids.parse(sent.into_user_id)
    if into is None:
        raise InvalidRequest("There is no user of yours with this id.", source=attribute("intoUserId"))
    command = MergeUsers(call.asked, path_id(call, customers.missing()), into)
    return replied(await call.house.batcher.submit(merge_users, call.caller.tenant, command))


async def part_user(call: Call) -> Reply:
    """Undo the merge of a user: what is left of their value goes back to them."""
    command = UnmergeUser(call.asked, path_id(call, customers.missing()))
    return replied(await call.house.batcher.submit(unmerge_user, call.caller.tenant, command))


def routes() -> tuple[Route, ...]:
    """What merging offers over HTTP."""
    one, write = f"{users.USER.path}/{{id}}", "users:write"
    errors = (NotFound, InvalidState, ValueHeld, IdempotencyConflict)
    merges = Takes(MergeUserAttributes, ("MergeUser",), {"intoUserId": merge_resource.EXAMPLE["intoUserId"]})
    parts = Takes(NoAttributes, ("UnmergeUser",), optional=True)
    return (
        Route(
            "POST", f"{one}/merge", merge_user, write, "Merge a user into another",
            takes=merges, gives=merge_resource.USER_MERGE, keyed=True, errors=errors,
        ),
        Route(
            "POST", f"{one}/unmerge", part_user, write, "Undo the merge of a user",
            takes=parts, gives=merge_resource.USER_MERGE, keyed=True, errors=errors,
        ),
    )  # fmt: skip
