"""The sandbox over HTTP. In production these paths answer exactly as paths that do not exist."""

from collections.abc import Sequence
from functools import partial

from tallystick import messages
from tallystick.base import jsonapi
from tallystick.base.errors import IdempotencyConflict, NotFound
from tallystick.base.routes import PAGE, Call, Reply, Route, Takes
from tallystick.customers.recipients import keys_of
from tallystick.sandbox import actions, clockwork, resource
from tallystick.sandbox.actions import AimClock
from tallystick.sandbox.clockwork import DueWork

SCOPE = "sandbox:write"


async def get_clock(call: Call) -> Reply:
    """The sandbox's own time."""
    _only_in_a_sandbox(call)
    tenant = call.caller.tenant
    async with call.house.runtime.reading(tenant) as work:
        now = work.now
    return Reply(200, resource.document(tenant.id, now), resource_id=tenant.id)


async def advance_clock(due: Sequence[DueWork], call: Call) -> Reply:
    """Move the clock forward; the answer comes when everything that fell due on the way is done."""
    _only_in_a_sandbox(call)
    sent: resource.AdvanceClock = call.attributes
    tenant = call.caller.tenant
    answer = await call.house.batcher.submit(actions.aim, tenant, AimClock(call.asked, sent.by, sent.to))
    # A replay goes there too: the first request may have been killed on its way. It is there already, or it arrives now.
    await clockwork.advance(call.house.runtime, tenant, actions.aimed_at(answer), due)
    return Reply(
        answer.status,
        answer.body,
        replayed=answer.replayed,
        resource_id=answer.resource_id,
        logged=not answer.replayed,
    )


async def list_mailbox(call: Call) -> Reply:
    """The messages that the caller caused, or all of the programme by agreement, newest first."""
    _only_in_a_sandbox(call)
    offset, limit = jsonapi.page(call)
    caller = call.caller
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await messages.mailbox(
            work,
            keys_of,
            partner_id=None if caller.sees_programme else caller.partner_id,
            offset=offset,
            limit=limit,
        )
    shown = [resource.message(sent) for sent in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


def routes(due: Sequence[DueWork]) -> tuple[Route, ...]:
    """What this room offers over HTTP. `due` is everything that falls due by a sandbox's clock."""
    return (
        Route(
            "GET",
            "/api/v1/sandbox/clock",
            get_clock,
            scope=SCOPE,
            summary="Get the sandbox's clock",
            gives=resource.CLOCK,
            errors=(NotFound,),
        ),
        Route(
            "POST",
            "/api/v1/sandbox/clock/advance",
            partial(advance_clock, due),
            scope=SCOPE,
            summary="Move the sandbox's clock forward",
            takes=Takes(resource.AdvanceClock, ("AdvanceClock",), {"by": "P90D"}),
            gives=resource.CLOCK,
            errors=(NotFound, IdempotencyConflict),
            keyed=True,
        ),
        Route(
            "GET",
            "/api/v1/sandbox/mailbox",
            list_mailbox,
            scope=SCOPE,
            summary="Read the messages that the sandbox kept",
            gives=resource.MESSAGE,
            many=True,
            errors=(NotFound,),
            query=PAGE,
        ),
    )


def _only_in_a_sandbox(call: Call) -> None:
    if call.caller.tenant.environment != "sandbox":
        raise NotFound("There is nothing at this path.")
