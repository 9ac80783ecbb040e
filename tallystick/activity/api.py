"""Transactions, visits and orders over HTTP: one or up to 1,000 at once, rehearsed on demand, and read again."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec

from tallystick import merchants
from tallystick.activity import effects, provenance_api, reading, resource, sent
from tallystick.activity.accepting import accept
from tallystick.activity.checking import sums
from tallystick.activity.model import ChangedDuplicate, Kind, PermissionMissing, RecordActivity, Recorded
from tallystick.activity.receiving import receive, rehearse
from tallystick.activity.resource import VerdictAttributes
from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.errors import (
    InvalidRequest,
    QuotaExceeded,
    Refusal,
    Refusals,
    UnexpectedError,
    attribute,
    parameter,
)
from tallystick.base.routes import Call, Handler, Parameter, Reply, Resource, Route, Several, Takes
from tallystick.merchants import MerchantDirectory, MerchantRef

MANY: Final = 1_000
EXAMPLE: Final = {
    "type": "Purchase",
    "source": {"id": "r-20260302-118", "createdAt": "2026-03-02T08:59:12.000Z"},
    "customer": {"phoneNumber": "+15551234567"},
    "channel": "pos",
    "items": [{"amount": 1250, "tax": 96, "quantity": 2, "category": "coffee"}],
    "payments": [{"amount": 1250, "method": "DebitCard"}],
}

VISIT_EXAMPLE: Final = {name: EXAMPLE[name] for name in ("source", "customer", "channel")}
ORDER_EXAMPLE: Final = {**VISIT_EXAMPLE, "amount": 1250}

Told = RecordActivity | Refusals


async def send_external_transactions(directory: MerchantDirectory, call: Call) -> Reply:
    """Tell of a purchase, or take one back; or of up to 1,000 at once, each with a verdict of its own.

    A source id is given once for ever: sent again with the same content it is answered again, with another it is refused. What
    takes back a purchase may come before it. With `dryRun` nothing is kept, and the answer tells what would come of it.
    """
    return await _send(directory, call, "transaction")


async def send_visits(directory: MerchantDirectory, call: Call) -> Reply:
    """Tell of a visit, or of up to 1,000; as for transactions."""
    return await _send(directory, call, "visit")


async def send_orders(directory: MerchantDirectory, call: Call) -> Reply:
    """Tell of an order, or of up to 1,000; as for transactions."""
    return await _send(directory, call, "order")


async def _send(directory: MerchantDirectory, call: Call, kind: Kind) -> Reply:
    dry_run = _dry_run(call)
    several = call.attributes if isinstance(call.attributes, Several) else None
    documents = [call.attributes] if several is None else list(several.documents)
    told = await _read(directory, call, kind, documents)
    if several is None and isinstance(told[0], Refusals):
        raise told[0]
    good = [each for each in told if isinstance(each, RecordActivity)]
    if dry_run:
        accepted = await rehearse(call.house.runtime, call.caller.tenant, good) if good else None
        outcomes: Sequence[Any] = () if accepted is None else accepted.landing.outcomes
        return _verdicts(told, outcomes, effects.of(accepted))
    if several is None:
        received = await call.house.batcher.submit(receive, call.caller.tenant, good[0])
        return Reply(
            201,
            received.document,
            [("location", f"{resource.RESOURCES[kind].path}/{received.activity_id}")],
            replayed=received.duplicate,
            resource_id=received.activity_id,
            logged=not received.duplicate,
        )
    return _verdicts(told, await run_batch(call.house.runtime, accept, call.caller.tenant, good) if good else (), None)


def _dry_run(call: Call) -> bool:
    wanted = call.query.get("dryRun", "false")
    if wanted not in ("true", "false"):
        raise InvalidRequest("true or false is wanted.", source=parameter("dryRun"))
    return wanted == "true"


async def _read(directory: MerchantDirectory, call: Call, kind: Kind, documents: Sequence[Any]) -> list[Told]:
    """Each document as a command, or with every fault of it."""
    shops: dict[str | None, MerchantRef | InvalidRequest] = {}
    for each in documents:
        if not isinstance(each, Refusals) and each.merchant_id not in shops:
            shops[each.merchant_id] = await _merchant(directory, call, each.merchant_id)
    places = await _places(call, documents, shops)
    return [each if isinstance(each, Refusals) else _command(call, kind, each, shops, places) for each in documents]


def _command(
    call: Call,
    kind: Kind,
    each: sent.Sent,
    shops: dict[str | None, MerchantRef | InvalidRequest],
    places: dict[UUID, dict[str, UUID]],
) -> Told:
    shop = shops[each.merchant_id]
    if isinstance(shop, InvalidRequest):
        return Refusals([shop])
    faults: list[Refusal] = []
    told = sent.command(call.asked, kind, each, shop, places.get(shop.id, {}), faults)
    if told is not None:
        faults += sums(told)
    return Refusals(faults) if faults or told is None else told


async def _merchant(directory: MerchantDirectory, call: Call, named: str | None) -> MerchantRef | InvalidRequest:
    merchant_id = None if named is None else ids.parse(named)
    if named is not None and merchant_id is None:
        return InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    try:
        return await directory.resolve(call.caller, merchant_id)
    except InvalidRequest as refused:
        return refused


async def _places(
    call: Call, documents: Sequence[Any], shops: dict[str | None, MerchantRef | InvalidRequest]
) -> dict[UUID, dict[str, UUID]]:
    """The locations that are named by external ids, of each merchant."""
    wanted: dict[UUID, set[str]] = {}
    for each in documents:
        shop = None if isinstance(each, Refusals) else shops[each.merchant_id]
        if isinstance(shop, MerchantRef) and each.location_external_id is not None:
            wanted.setdefault(shop.id, set()).add(each.location_external_id)
    if not wanted:
        return {}
    async with call.house.runtime.reading(call.caller.tenant) as work:
        return {
            merchant_id: await merchants.location_ids_by_external(work, merchant_id, list(external))
            for merchant_id, external in wanted.items()
        }


def _verdicts(told: Sequence[Told], outcomes: Sequence[Any], come_of_it: resource.Effects | None) -> Reply:
    """A verdict on each document; `outcomes` are of those that could be read, in their order."""
    left = iter(outcomes)
    shown: list[VerdictAttributes] = []
    for index, each in enumerate(told):
        outcome = each if isinstance(each, Refusals) else next(left)
        if isinstance(outcome, Recorded):
            status = "duplicate" if outcome.duplicate else "accepted"
            shown.append(VerdictAttributes(index, status, str(outcome.activity_id), []))  # type: ignore[arg-type]
            continue
        faults = outcome.faults if isinstance(outcome, Refusals) else [_refusal(outcome)]
        shown.append(VerdictAttributes(index, "rejected", None, [resource.error(fault, index) for fault in faults]))
    return Reply(200, resource.verdicts(shown, come_of_it))


def _refusal(outcome: Exception) -> Refusal:
    if isinstance(outcome, Refusal):
        return outcome
    fault = UnexpectedError("The fault is ours; send this one again.")
    fault.__cause__ = outcome
    return fault


WRITE, READ = "activity:write", "activity:read"
ERRORS: Final = (PermissionMissing, ChangedDuplicate, QuotaExceeded)
DRY_RUN: Final = Parameter(
    "dryRun",
    "true: nothing is kept, and the answer is a verdict on each document with what would come of all.",
    schema={"type": "string", "enum": ["true", "false"]},
)


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """What this room offers over HTTP."""
    transaction, visit, order = resource.TRANSACTION, resource.VISIT, resource.ORDER
    return (
        _post(
            partial(send_external_transactions, directory),
            "Send transactions",
            sent.TransactionAttributes,
            transaction,
            EXAMPLE,
        ),
        *reading.routes("transaction"),
        _post(partial(send_visits, directory), "Send visits", sent.VisitAttributes, visit, VISIT_EXAMPLE),
        *reading.routes("visit"),
        _post(partial(send_orders, directory), "Send orders", sent.OrderAttributes, order, ORDER_EXAMPLE),
        *reading.routes("order"),
        *provenance_api.routes(),
    )


def _post(
    handler: Handler, summary: str, takes: type[msgspec.Struct], gives: Resource, example: Mapping[str, Any]
) -> Route:
    return Route(
        "POST",
        gives.path,
        handler,
        WRITE,
        summary,
        Takes(takes, (gives.type,), example, many=MANY),
        gives,
        status=201,
        errors=ERRORS,
        query=(DRY_RUN,),
        large=True,
        verdicts=resource.VerdictAttributes,
        verdicts_meta=resource.VerdictsMeta,
    )
