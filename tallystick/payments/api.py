"""Payments over HTTP: stored value spent at a till, and what became of it."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final, cast, get_args
from uuid import UUID

import msgspec
from msgspec import Meta

import tallystick.payments.look_store as look_store
import tallystick.payments.store as store
from tallystick.base import ids, jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    Refusal,
    Refusals,
    at,
    attribute,
    parameter,
)
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.base.work import Caller
from tallystick.customers.api import path_id
from tallystick.giftcards.breaker import LookupsBlocked
from tallystick.giftcards.lookup import CodeRefused
from tallystick.merchants import MerchantDirectory, MerchantRef
from tallystick.payments import change_api, resource, transferring
from tallystick.payments.authorizing import authorize
from tallystick.payments.deciding import AuthorizePayment, SourceAsked
from tallystick.payments.look_store import Wanted
from tallystick.payments.model import (
    AMOUNT_MAX,
    REFERENCE_MAX,
    SOURCES_MAX,
    Capture,
    DuplicateReference,
    InsufficientValue,
    PaymentIntent,
    PaymentLimit,
    PaymentReversed,
    SourceKind,
    SourceNotUsable,
    Status,
)

Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="Minor units of the merchant's currency.")]
Text = Annotated[str, Meta(min_length=1, max_length=255)]
Reference = Annotated[
    str, Meta(min_length=1, max_length=REFERENCE_MAX, description="The till's own name for the payment, once for each.")
]
Code = Annotated[
    str, Meta(min_length=1, max_length=64, description="A code that a holder shows, or the number of a gift card.")
]
Pin = Annotated[str, Meta(min_length=1, max_length=16)]


class PaymentSourceAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """One source: a wallet, a gift card or a code; at most `amount` of it, or as much as is due."""

    wallet_id: str | None = None
    gift_card_id: str | None = None
    code: Code | None = None
    pin: Pin | None = None
    amount: Amount | None = None


class AuthorizePaymentAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """What a till sends to be paid. Either `sources`, or just one of `walletId`, `giftCardId` and `code`."""

    amount: Amount
    idempotency_key: Text
    merchant_id: str | None = None
    currency: Annotated[str, Meta(min_length=3, max_length=3)] | None = None
    wallet_id: str | None = None
    gift_card_id: str | None = None
    code: Code | None = None
    pin: Pin | None = None
    sources: Annotated[list[PaymentSourceAttributes], Meta(min_length=1, max_length=SOURCES_MAX)] | None = None
    capture: Capture = "automatic"
    allow_partial: bool = False
    external_reference: Reference | None = None
    location_id: Text | None = None


AUTHORIZE_EXAMPLE: Final = {
    "amount": 1250,
    "walletId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a11",
    "idempotencyKey": "till-4-000917",
    "externalReference": "till-4-000917",
}


async def authorize_payment(directory: MerchantDirectory, call: Call) -> Reply:
    """Take or hold value; a retry with the same key gets the same answer."""
    paid = await call.house.batcher.submit(authorize, call.caller.tenant, await _wish(directory, call))
    return Reply(
        201,
        paid.document,
        [("location", resource.location(paid.intent_id))],
        replayed=paid.replayed,
        resource_id=paid.intent_id,
        logged=not paid.replayed,
    )


async def get_payment(call: Call) -> Reply:
    """One payment as it stands."""
    intent_id = path_id(call, missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        intent = (await store.by_ids(work, [intent_id])).get(intent_id)
        if intent is None or not visible(call.caller, intent):
            raise missing()
        sources = (await store.sources_of(work, [intent_id]))[intent_id]
        return Reply(200, resource.document(intent, sources, work.now), resource_id=intent_id)


async def list_payments(call: Call) -> Reply:
    """Payments, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    wanted = _wanted(call, faults)
    if faults:
        raise Refusals(faults)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        page, total = await look_store.listed(work, wanted, offset, limit)
        sources = await store.sources_of(work, [intent.id for intent in page])
        shown = [resource.resource(intent, sources[intent.id], work.now) for intent in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


def visible(caller: Caller, intent: PaymentIntent) -> bool:
    """Whether the caller may know of it: its partner made it or sees the programme, and it may act for the merchant."""
    at_its_merchant = caller.merchant_ids is None or intent.merchant_id in caller.merchant_ids
    return at_its_merchant and (caller.sees_programme or intent.partner_id == caller.partner_id)


def missing() -> NotFound:
    """The refusal for a payment that is not there, or not the caller's."""
    return NotFound("No payment has this id. Verify the id.")


async def _wish(directory: MerchantDirectory, call: Call) -> AuthorizePayment:
    """What the request asks for. Every fault of it is told at once."""
    wanted: AuthorizePaymentAttributes = call.attributes
    faults: list[Refusal] = []
    sources = _sources(wanted, faults)
    try:
        merchant = await _merchant(directory, call, wanted.merchant_id)
    except InvalidRequest as refused:
        raise Refusals([refused, *faults]) from None
    if faults:
        raise Refusals(faults)
    return AuthorizePayment(
        asked=call.asked,
        merchant_id=merchant.id,
        merchant_named=wanted.merchant_id is not None,
        amount=wanted.amount,
        sources=sources,
        key=wanted.idempotency_key,
        currency=wanted.currency,
        capture=wanted.capture,
        allow_partial=wanted.allow_partial,
        external_reference=wanted.external_reference,
        location_id=wanted.location_id,
    )


async def _merchant(directory: MerchantDirectory, call: Call, named: str | None) -> MerchantRef:
    merchant_id = None if named is None else ids.parse(named)
    if named is not None and merchant_id is None:
        raise InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    return directory.resolve_cached(call.caller, merchant_id) or await directory.resolve(call.caller, merchant_id)


def _sources(wanted: AuthorizePaymentAttributes, faults: list[Refusal]) -> tuple[SourceAsked, ...]:
    if wanted.sources is None:
        only = PaymentSourceAttributes(wanted.wallet_id, wanted.gift_card_id, wanted.code, wanted.pin)
        return _source(only, "/data/attributes", faults)
    alone = {
        "walletId": wanted.wallet_id,
        "giftCardId": wanted.gift_card_id,
        "code": wanted.code,
        "pin": wanted.pin,
    }
    faults += [
        InvalidRequest("Name it among the sources, or send it without sources.", source=attribute(name))
        for name, sent in alone.items()
        if sent is not None
    ]
    return tuple(
        source
        for n, each in enumerate(wanted.sources)
        for source in _source(each, f"/data/attributes/sources/{n}", faults)
    )


def _source(sent: PaymentSourceAttributes, pointer: str, faults: list[Refusal]) -> tuple[SourceAsked, ...]:
    """The source, or none with its fault."""
    named = [
        (name, text)
        for name, text in (("walletId", sent.wallet_id), ("giftCardId", sent.gift_card_id), ("code", sent.code))
        if text is not None
    ]
    if len(named) != 1:
        faults.append(InvalidRequest("Name one of walletId, giftCardId and code.", source=at(pointer)))
        return ()
    name, text = named[0]
    place = at(f"{pointer}/{name}")
    if name == "code":
        return (SourceAsked(place, code=text, pin=sent.pin, amount=sent.amount),)
    if sent.pin is not None:
        faults.append(InvalidRequest("A PIN belongs to a code.", source=at(f"{pointer}/pin")))
        return ()
    found = ids.parse(text)
    if found is None:
        faults.append(InvalidRequest("This is not an id.", source=place))
        return ()
    kind: SourceKind = "wallet" if name == "walletId" else "giftCard"
    return (SourceAsked(place, kind, found, amount=sent.amount),)


def _wanted(call: Call, faults: list[Refusal]) -> Wanted:
    caller = call.caller
    status = call.query.get("filter[status]")
    if status is not None and status not in get_args(Status):
        detail = f"The status is one of {', '.join(get_args(Status))}."
        faults.append(InvalidRequest(detail, source=parameter("filter[status]")))
    merchant_id = _id_filter(call, "filter[merchantId]", faults)
    return Wanted(
        partner_id=None if caller.sees_programme else caller.partner_id,
        merchant_ids=_merchants(caller.merchant_ids, merchant_id),
        source=_source_filter(call, faults),
        reference=call.query.get("filter[externalReference]"),
        status=cast("Status | None", status),
    )


def _source_filter(call: Call, faults: list[Refusal]) -> tuple[SourceKind, UUID] | None:
    wallet_id = _id_filter(call, "filter[walletId]", faults)
    card_id = _id_filter(call, "filter[giftCardId]", faults)
    if wallet_id is not None and card_id is not None:
        detail = "Filter by a wallet or by a gift card, not by both."
        faults.append(InvalidRequest(detail, source=parameter("filter[giftCardId]")))
    if wallet_id is not None:
        return "wallet", wallet_id
    return None if card_id is None else ("giftCard", card_id)


def _merchants(allowed: Sequence[UUID] | None, wanted: UUID | None) -> Sequence[UUID] | None:
    """The merchants whose payments are shown; None: all."""
    if wanted is None:
        return allowed
    return [wanted] if allowed is None or wanted in allowed else []


def _id_filter(call: Call, name: str, faults: list[Refusal]) -> UUID | None:
    text = call.query.get(name)
    if text is None:
        return None
    found = ids.parse(text)
    if found is None:
        faults.append(InvalidRequest("This is not an id.", source=parameter(name)))
    return found


UUID_SCHEMA: Final = {"type": "string", "format": "uuid"}
FILTERS: Final = (
    Parameter("filter[walletId]", "Only payments from this wallet.", schema=UUID_SCHEMA),
    Parameter("filter[giftCardId]", "Only payments from this gift card.", schema=UUID_SCHEMA),
    Parameter("filter[externalReference]", "Only the payment with this reference of the till."),
    Parameter(
        "filter[status]",
        "Only payments of this status.",
        schema={"type": "string", "enum": list(get_args(Status))},
    ),
    Parameter("filter[merchantId]", "Only payments at this merchant.", schema=UUID_SCHEMA),
)
AUTHORIZE_ERRORS: Final = (
    CodeRefused,
    LookupsBlocked,
    InsufficientValue,
    SourceNotUsable,
    PaymentLimit,
    PaymentReversed,
    DuplicateReference,
    IdempotencyConflict,
)


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """This room's routes."""
    read, write = "payment-intents:read", "payment-intents:write"
    payment, one = resource.PAYMENT_INTENT, f"{resource.PAYMENT_INTENT.path}/{{id}}"
    authorizes = partial(authorize_payment, directory)
    takes = Takes(AuthorizePaymentAttributes, ("PaymentIntent",), AUTHORIZE_EXAMPLE)
    return (
        Route(
            "POST", payment.path, authorizes, write, "Pay with stored value, or hold it",
            takes, payment, status=201, errors=AUTHORIZE_ERRORS,
        ),
        Route(
            "GET", payment.path, list_payments, read, "List payments",
            gives=payment, many=True, query=(*FILTERS, *PAGE),
        ),
        Route("GET", one, get_payment, read, "Get a payment", gives=payment, errors=(NotFound,)),
        *change_api.routes(directory),
        *transferring.routes(),
    )  # fmt: skip
