"""Batches of gift cards over HTTP: accepted at once, made by the worker, their numbers given out once."""

from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

import tallystick.giftcards.batch_store as store
from tallystick.base import jsonapi
from tallystick.base.batcher import Verb
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
from tallystick.base.idempotency import Answer
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.customers.api import NoAttributes, path_id, replied
from tallystick.giftcards import batch_resource, batches, downloading, sent
from tallystick.giftcards.batches import TOTAL_MAX, AcceptBatch, ChangeBatch, missing
from tallystick.giftcards.deciding import Terms
from tallystick.giftcards.downloading import AlreadyDownloaded, DownloadBatch
from tallystick.giftcards.issue_api import NO_DESIGN
from tallystick.merchants import MerchantDirectory

STATUSES: Final = ("accepted", "running", "paused", "completed", "cancelled")


class NewBatchAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Up to 100,000 equal cards of one merchant."""

    idempotency_key: sent.Key
    count: Annotated[int, Meta(ge=1, le=TOTAL_MAX, description="How many cards.")]
    amount: Annotated[sent.Amount, Meta(description="Minor units on each card.")]
    merchant_id: str | None = None
    currency: sent.Currency | None = None
    value_class: sent.ValueClass = "paid"
    activate: bool = True
    reloadable: bool = True
    pin: bool = False
    expires_at: sent.Instant | None = None
    design_id: str | None = None
    external_reference: sent.Reference | None = None


async def accept_gift_card_batch(directory: MerchantDirectory, call: Call) -> Reply:
    """Accept a batch; its cards are made within moments."""
    wanted: NewBatchAttributes = call.attributes
    faults: list[Refusal] = []
    expires_at = sent.instant(wanted.expires_at, "expiresAt", faults)
    design_id = sent.resource_id(wanted.design_id, "designId", NO_DESIGN, faults)
    try:
        merchant = await sent.merchant(directory, call, wanted.merchant_id)
    except InvalidRequest as refused:
        raise Refusals([refused, *faults]) from None
    if faults:
        raise Refusals(faults)
    terms = Terms(
        merchant_id=merchant.id,
        amount=wanted.amount,
        currency=wanted.currency,
        value_class=wanted.value_class,
        activate=wanted.activate,
        reloadable=wanted.reloadable,
        pin=wanted.pin,
        expires_at=expires_at,
        design_id=design_id,
        external_reference=sent.text(wanted.external_reference),
    )
    command = AcceptBatch(replace(call.asked, key=wanted.idempotency_key), terms, wanted.count)
    try:
        return replied(await call.house.batcher.submit(batches.accept, call.caller.tenant, command))
    except IdempotencyConflict as conflict:
        # The key is an attribute here, not a header.
        raise IdempotencyConflict(conflict.detail, source=attribute("idempotencyKey")) from None


async def get_gift_card_batch(call: Call) -> Reply:
    """How far a batch is."""
    batch_id = path_id(call, missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        batch = await batches.visible(work, call.caller, batch_id)
    if batch is None:
        raise missing()
    return Reply(200, batch_resource.document(batch), resource_id=batch_id)


async def list_gift_card_batches(call: Call) -> Reply:
    """Batches, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    status = call.query.get("filter[status]")
    if status is not None and status not in STATUSES:
        detail = f"The status is one of {', '.join(STATUSES)}."
        faults.append(InvalidRequest(detail, source=parameter("filter[status]")))
    if faults:
        raise Refusals(faults)
    caller = call.caller
    partner_id = None if caller.sees_programme else caller.partner_id
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await store.listed(work, partner_id, caller.merchant_ids, status, offset, limit)
    shown = [batch_resource.resource(batch) for batch in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def cancel_gift_card_batch(call: Call) -> Reply:
    """Make no more cards."""
    return await _change(batches.cancel, call)


async def resume_gift_card_batch(call: Call) -> Reply:
    """Go on with a paused batch."""
    return await _change(batches.resume, call)


async def activate_gift_card_batch(call: Call) -> Reply:
    """Activate the pending cards of a batch."""
    return await _change(batches.activate, call)


async def download_gift_card_batch(call: Call) -> Reply:
    """The numbers of a batch as a file, once."""
    command = DownloadBatch(call.asked, path_id(call, missing()))
    tenant = call.caller.tenant
    batch, again = await call.house.batcher.submit(downloading.allow, tenant, command)
    return Reply(
        200,
        None,
        [("content-disposition", f'attachment; filename="gift-cards-{batch.id}.csv"')],
        resource_id=batch.id,
        replayed=again,
        logged=True,
        stream=downloading.lines(call.house.runtime, tenant, batch.id),
    )


async def _change(verb: Verb[ChangeBatch, Answer], call: Call) -> Reply:
    command = ChangeBatch(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(verb, call.caller.tenant, command))


STATUS_FILTER: Final = Parameter(
    "filter[status]", "Only batches of this status.", schema={"type": "string", "enum": list(STATUSES)}
)
EXAMPLE: Final = {
    "idempotencyKey": "spring-2027",
    "count": 5000,
    "amount": 2500,
    "valueClass": "promotional",
    "activate": False,
}


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """What batches offer over HTTP."""
    read, write = "gift-cards:read", "gift-cards:write"
    batch, one = batch_resource.GIFT_CARD_BATCH, f"{batch_resource.GIFT_CARD_BATCH.path}/{{id}}"
    accepts = partial(accept_gift_card_batch, directory)
    takes = Takes(NewBatchAttributes, ("GiftCardBatch",), EXAMPLE)
    errors = (NotFound, InvalidState, IdempotencyConflict)
    verbs = (
        ("cancel", cancel_gift_card_batch, "CancelGiftCardBatch", "Make no more cards of a batch"),
        ("resume", resume_gift_card_batch, "ResumeGiftCardBatch", "Go on with a paused batch"),
        ("activate", activate_gift_card_batch, "ActivateGiftCardBatch", "Activate the pending cards of a batch"),
    )
    return (
        Route(
            "POST", batch.path, accepts, write, "Issue a batch of gift cards", takes, batch,
            status=202, errors=(IdempotencyConflict,),
        ),
        Route(
            "GET", batch.path, list_gift_card_batches, read, "List batches of gift cards",
            gives=batch, many=True, query=(STATUS_FILTER, *PAGE),
        ),
        Route("GET", one, get_gift_card_batch, read, "Get how far a batch of gift cards is", gives=batch, errors=(NotFound,)),
        *(
            Route(
                "POST", f"{one}/{name}", handler, write, summary,
                Takes(NoAttributes, (kind,), optional=True), batch, status=202, keyed=True, errors=errors,
            )
            for name, handler, kind, summary in verbs
        ),
        Route(
            "POST", f"{one}/download", download_gift_card_batch, "gift-cards:reveal", "Download the codes of a batch, once",
            Takes(NoAttributes, ("DownloadGiftCardBatch",), optional=True),
            keyed=True, download="text/csv", errors=(NotFound, InvalidState, AlreadyDownloaded),
        ),
    )  # fmt: skip
