"""Reward batches over HTTP: accepted at once, carried out by the worker, revoked as a whole."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

import tallystick.rewards.batch_store as store
from tallystick.base import jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    Refusal,
    Refusals,
    attribute,
    parameter,
)
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.customers.api import path_id, replied
from tallystick.merchants import MerchantDirectory
from tallystick.rewards import batch_resource, batches, sent
from tallystick.rewards.batches import PIECE, RECIPIENTS_MAX, AcceptBatch, LineWish, RevokeBatch

OUTCOMES: Final = ("waiting", "succeeded", "failed")


class RecipientAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """One line of a batch."""

    phone_number: sent.Phone
    amount: sent.Amount
    message: sent.Message | None = None
    reason_code: sent.Code | None = None
    cost_center: sent.Code | None = None
    notification_email: sent.Email | None = None


class NewBatchAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Up to 10,000 rewards for one merchant."""

    idempotency_key: sent.Key
    recipients: Annotated[list[RecipientAttributes], Meta(min_length=1, max_length=RECIPIENTS_MAX)]
    merchant_id: str | None = None


async def accept_batch(directory: MerchantDirectory, call: Call) -> Reply:
    """Accept up to 10,000 rewards at once."""
    wanted: NewBatchAttributes = call.attributes
    faults: list[Refusal] = []
    lines = await _lines(wanted.recipients, faults)
    if faults:
        raise Refusals(faults)
    merchant = await sent.merchant(directory, call, wanted.merchant_id)
    asked = replace(call.asked, key=wanted.idempotency_key)
    command = AcceptBatch(asked, merchant.id, merchant.country, lines)
    try:
        return replied(await call.house.batcher.submit(batches.accept, call.caller.tenant, command))
    except IdempotencyConflict as conflict:
        raise IdempotencyConflict(conflict.detail, source=attribute("idempotencyKey")) from None


async def revoke_batch(call: Call) -> Reply:
    """Stop a batch and take back what it gave."""
    command = RevokeBatch(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(batches.revoke, call.caller.tenant, command))


async def get_batch(call: Call) -> Reply:
    """How far a batch is."""
    batch_id = path_id(call, missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        batch = await batches.visible(work, call.asked, batch_id)
    if batch is None:
        raise missing()
    return Reply(200, batch_resource.document(batch), resource_id=batch_id)


async def list_batches(call: Call) -> Reply:
    """The caller's batches, newest first."""
    offset, limit = jsonapi.page(call)
    caller = call.caller
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await store.listed(
            work, None if caller.sees_programme else caller.partner_id, caller.merchant_ids, offset, limit
        )
    shown = [batch_resource.resource(batch) for batch in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def list_lines(call: Call) -> Reply:
    """What became of each line of a batch, in order."""
    batch_id = path_id(call, missing())
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    outcome = call.query.get("filter[status]")
    if outcome is not None and outcome not in OUTCOMES:
        faults.append(
            InvalidRequest(f"The status is one of {', '.join(OUTCOMES)}.", source=parameter("filter[status]"))
        )
    if faults:
        raise Refusals(faults)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        if await batches.visible(work, call.asked, batch_id) is None:
            raise missing()
        page, total = await store.lines(work, batch_id, outcome, offset, limit)
    shown = [batch_resource.line(batch_id, line) for line in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def _lines(recipients: Sequence[RecipientAttributes], faults: list[Refusal]) -> tuple[LineWish, ...]:
    """Every line, read in pieces: others are answered in between."""
    lines: list[LineWish] = []
    for number, line in enumerate(recipients):
        if number % PIECE == PIECE - 1:
            await asyncio.sleep(0)
        lines.append(_line(number, line, faults))
    return tuple(lines)


def _line(number: int, line: RecipientAttributes, faults: list[Refusal]) -> LineWish:
    return LineWish(
        line.phone_number,
        line.amount,
        sent.text(line.message),
        sent.text(line.reason_code),
        sent.text(line.cost_center),
        sent.email(line.notification_email, faults, f"recipients/{number}/notificationEmail"),
    )


def missing() -> NotFound:
    """The refusal for a batch that is unknown, or someone else's."""
    return NotFound("No reward batch has this id. Verify the id.")


OUTCOME_FILTER: Final = Parameter(
    "filter[status]", "Only lines of this status.", schema={"type": "string", "enum": list(OUTCOMES)}
)


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """What is offered of batches."""
    read, write = "rewards:read", "rewards:write"
    batch, line = batch_resource.REWARD_BATCH, batch_resource.LINE
    one, missed = f"{batch.path}/{{id}}", (NotFound,)
    accepts = partial(accept_batch, directory)
    takes = Takes(
        NewBatchAttributes,
        ("RewardBatch",),
        {"idempotencyKey": "batch-2026-06", "recipients": [{"phoneNumber": "+15551234567", "amount": 500}]},
    )
    return (
        Route(
            "POST", batch.path, accepts, write, "Issue up to 10,000 rewards",
            takes, batch, status=202, errors=(IdempotencyConflict,), large=True,
        ),
        Route("GET", batch.path, list_batches, read, "List reward batches", gives=batch, many=True, query=PAGE),
        Route("GET", one, get_batch, read, "Get a reward batch", gives=batch, errors=missed),
        Route(
            "GET", f"{one}/items", list_lines, read, "List what became of each line",
            gives=line, many=True, query=(OUTCOME_FILTER, *PAGE), errors=missed,
        ),
        Route(
            "POST", f"{one}/revoke", revoke_batch, write, "Revoke a whole batch",
            gives=batch, status=202, keyed=True, errors=(NotFound, InvalidState, IdempotencyConflict),
        ),
    )  # fmt: skip
