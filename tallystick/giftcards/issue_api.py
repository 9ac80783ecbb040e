"""Issuing gift cards over HTTP: one card, its delivery, and how cards look."""

from functools import partial
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

import tallystick.giftcards.design_store as design_store
import tallystick.giftcards.store as store
from tallystick.base import jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    QuotaExceeded,
    RateLimited,
    Refusal,
    Refusals,
    at,
    parameter,
)
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.customers.api import path_id, replied
from tallystick.giftcards import delivery, designs, resource, sent
from tallystick.giftcards.deciding import Terms
from tallystick.giftcards.delivery import ResendCard, missing
from tallystick.giftcards.designs import AddDesign, ChangeDesign, Changes
from tallystick.giftcards.issuing import IssueCard, issue
from tallystick.giftcards.model import STATUSES
from tallystick.merchants import InsufficientFunding, MerchantDirectory

NO_DESIGN: Final = "You have no active design of this id for the merchant. Verify the id, or leave it out."


class IssueCardAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """What a partner sends to issue one card."""

    amount: sent.Amount
    idempotency_key: sent.Key
    merchant_id: str | None = None
    currency: sent.Currency | None = None
    value_class: sent.ValueClass = "paid"
    activate: bool = True
    reloadable: bool = True
    pin: bool = False
    expires_at: sent.Instant | None = None
    design_id: str | None = None
    external_reference: sent.Reference | None = None
    delivery: sent.DeliveryAttributes | None = None


class DesignSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A design to add."""

    name: str
    merchant_id: str | None = None
    image_url: str | None = None
    background_colour: str | None = None
    terms: str | None = None


class DesignChanged(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is to change of a design; what is absent stays, null takes it away."""

    name: str | UnsetType = UNSET
    image_url: str | None | UnsetType = UNSET
    background_colour: str | None | UnsetType = UNSET
    terms: str | None | UnsetType = UNSET
    status: Annotated[Literal["active", "retired"], Meta(description="Cards keep a retired design.")] | UnsetType = (
        UNSET
    )


ISSUE_EXAMPLE: Final = {
    "amount": 5000,
    "idempotencyKey": "order-4711-1",
    "externalReference": "order-4711",
    "delivery": {
        "channel": "email",
        "to": "kim@example.com",
        "deliverAt": "2026-12-24T09:00:00Z",
        "message": "Happy birthday!",
        "senderName": "Alex",
    },
}
RESEND_EXAMPLE: Final = {"channel": "email", "to": "kim@example.com"}


async def issue_gift_card(directory: MerchantDirectory, call: Call) -> Reply:
    """Issue one card; number and PIN are in the answer, and in what repeats it for a day."""
    outcome = await call.house.batcher.submit(issue, call.caller.tenant, await _wish(directory, call))
    return Reply(
        201,
        outcome.document,
        [("location", f"{resource.GIFT_CARD.path}/{outcome.card_id}")],
        replayed=outcome.replayed,
        resource_id=outcome.card_id,
        logged=not outcome.replayed,
    )


async def get_gift_card(call: Call) -> Reply:
    """One card, with what it holds; never its number."""
    card_id = path_id(call, missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        card = (await store.by_ids(work, [card_id])).get(card_id)
        if card is None or not card.seen_by(call.caller):
            raise missing()
        balance = (await store.balances(work, [card_id])).get(card_id)
        shown = resource.document(card, balance, work.now)
    return Reply(200, shown, resource_id=card_id)


async def list_gift_cards(call: Call) -> Reply:
    """Cards, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    status = call.query.get("filter[status]")
    if status is not None and status not in STATUSES:
        detail = f"The status is one of {', '.join(STATUSES)}."
        faults.append(InvalidRequest(detail, source=parameter("filter[status]")))
    merchant_id = sent.filter_id(call, "filter[merchantId]", faults)
    batch_id = sent.filter_id(call, "filter[batchId]", faults)
    if faults:
        raise Refusals(faults)
    filters = store.Filters(status, merchant_id, batch_id, call.query.get("filter[externalReference]"))
    caller = call.caller
    partner_id = None if caller.sees_programme else caller.partner_id
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await store.listed(work, partner_id, caller.merchant_ids, filters, offset, limit)
        balances = await store.balances(work, [card.id for card in page]) if page else {}
        shown = [resource.resource(card, balances.get(card.id), work.now) for card in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def resend_gift_card(directory: MerchantDirectory, call: Call) -> Reply:
    """Send a card once more, where it was sent last or to another address."""
    card_id = path_id(call, missing())
    wanted: sent.DeliveryAttributes | None = call.attributes
    wish = None
    if wanted is not None:
        async with call.house.runtime.reading(call.caller.tenant) as work:
            card = (await store.by_ids(work, [card_id])).get(card_id)
        if card is None or not card.seen_by(call.caller):
            raise missing()
        merchant = await sent.merchant(directory, call, str(card.merchant_id))
        faults: list[Refusal] = []
        wish = sent.delivery(wanted, merchant.country, faults, under="")
        if faults:
            raise Refusals(faults)
    command = ResendCard(call.asked, card_id, wish)
    return replied(await call.house.batcher.submit(delivery.resend, call.caller.tenant, command))


async def add_gift_card_design(directory: MerchantDirectory, call: Call) -> Reply:
    """Add a design for the cards of a merchant."""
    wanted: DesignSent = call.attributes
    changes = Changes(
        name=wanted.name,
        image_url=sent.text(wanted.image_url),
        background_colour=sent.text(wanted.background_colour),
        terms=sent.text(wanted.terms),
    )
    if faults := designs.faults(changes):
        raise Refusals(faults)
    merchant = await sent.merchant(directory, call, wanted.merchant_id)
    command = AddDesign(call.asked, merchant.id, changes)
    return replied(await call.house.batcher.submit(designs.add, call.caller.tenant, command))


async def get_gift_card_design(call: Call) -> Reply:
    """One design."""
    design_id = path_id(call, designs.missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        design = await designs.visible(work, call.caller, design_id)
    if design is None:
        raise designs.missing()
    return Reply(200, jsonapi.document(designs.resource(design)), resource_id=design_id)


async def list_gift_card_designs(call: Call) -> Reply:
    """Designs, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    status = call.query.get("filter[status]")
    if status not in (None, "active", "retired"):
        faults.append(InvalidRequest("The status is active or retired.", source=parameter("filter[status]")))
    merchant_id = sent.filter_id(call, "filter[merchantId]", faults)
    if faults:
        raise Refusals(faults)
    caller = call.caller
    partner_id = None if caller.sees_programme else caller.partner_id
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await design_store.listed(
            work, partner_id, caller.merchant_ids, merchant_id, status, offset, limit
        )
    shown = [designs.resource(design) for design in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def change_gift_card_design(call: Call) -> Reply:
    """Change a design, or retire it."""
    wanted: DesignChanged = call.attributes
    if all(getattr(wanted, name) is UNSET for name in wanted.__struct_fields__):
        raise InvalidRequest("Name at least one attribute to change.", source=at("/data/attributes"))
    changes = Changes(
        name=wanted.name,
        image_url=_blank_as_none(wanted.image_url),
        background_colour=_blank_as_none(wanted.background_colour),
        terms=_blank_as_none(wanted.terms),
        status=wanted.status,
    )
    if faults := designs.faults(changes):
        raise Refusals(faults)
    command = ChangeDesign(call.asked, path_id(call, designs.missing()), changes)
    return replied(await call.house.batcher.submit(designs.change, call.caller.tenant, command))


async def _wish(directory: MerchantDirectory, call: Call) -> IssueCard:
    """What the request asks for. Every fault of it is told at once."""
    wanted: IssueCardAttributes = call.attributes
    faults: list[Refusal] = []
    expires_at = sent.instant(wanted.expires_at, "expiresAt", faults)
    design_id = sent.resource_id(wanted.design_id, "designId", NO_DESIGN, faults)
    try:
        merchant = await sent.merchant(directory, call, wanted.merchant_id)
    except InvalidRequest as refused:
        raise Refusals([refused, *faults]) from None
    wish = sent.delivery(wanted.delivery, merchant.country, faults)
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
    return IssueCard(call.asked, wanted.idempotency_key, terms, wanted.merchant_id is not None, wish)


def _blank_as_none(wanted: str | None | UnsetType) -> str | None | UnsetType:
    return wanted if isinstance(wanted, UnsetType) else sent.text(wanted)


MERCHANT_FILTER: Final = Parameter("filter[merchantId]", "Only those of this merchant.")
CARD_FILTERS: Final = (
    Parameter(
        "filter[status]",
        "Only cards of this status, as it holds now.",
        schema={"type": "string", "enum": list(STATUSES)},
    ),
    MERCHANT_FILTER,
    Parameter("filter[batchId]", "Only cards of this batch."),
    Parameter("filter[externalReference]", "Only cards with exactly this reference."),
)
DESIGN_FILTERS: Final = (
    Parameter(
        "filter[status]", "Only designs of this status.", schema={"type": "string", "enum": ["active", "retired"]}
    ),
    MERCHANT_FILTER,
)


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """Single cards and designs."""
    read, write = "gift-cards:read", "gift-cards:write"
    card, one = resource.GIFT_CARD, f"{resource.GIFT_CARD.path}/{{id}}"
    design, one_design = designs.DESIGN, f"{designs.DESIGN.path}/{{id}}"
    issues, resends, adds = (
        partial(issue_gift_card, directory),
        partial(resend_gift_card, directory),
        partial(add_gift_card_design, directory),
    )
    takes = Takes(IssueCardAttributes, ("GiftCard",), ISSUE_EXAMPLE)
    resent = Takes(sent.DeliveryAttributes, ("ResendGiftCard",), RESEND_EXAMPLE, optional=True)
    looks = Takes(DesignSent, ("GiftCardDesign",), {"name": "Winter", "backgroundColour": "#0B3D91"})
    changes = Takes(DesignChanged, ("GiftCardDesign",), {"status": "retired"})
    return (
        Route(
            "POST", card.path, issues, write, "Issue a gift card", takes, card, status=201,
            errors=(IdempotencyConflict, InsufficientFunding, QuotaExceeded),
        ),
        Route("GET", card.path, list_gift_cards, read, "List gift cards", gives=card, many=True, query=(*CARD_FILTERS, *PAGE)),
        Route("GET", one, get_gift_card, read, "Get a gift card", gives=card, errors=(NotFound,)),
        Route(
            "POST", f"{one}/resend", resends, write, "Send a gift card to its recipient again",
            resent, card, status=202, keyed=True, errors=(NotFound, InvalidState, IdempotencyConflict, RateLimited),
        ),
        Route(
            "POST", design.path, adds, write, "Add a gift card design", looks, design,
            status=201, keyed=True, errors=(IdempotencyConflict,),
        ),
        Route(
            "GET", design.path, list_gift_card_designs, read, "List gift card designs",
            gives=design, many=True, query=(*DESIGN_FILTERS, *PAGE),
        ),
        Route("GET", one_design, get_gift_card_design, read, "Get a gift card design", gives=design, errors=(NotFound,)),
        Route(
            "PATCH", one_design, change_gift_card_design, write, "Change or retire a gift card design",
            changes, design, keyed=True, errors=(NotFound, IdempotencyConflict),
        ),
    )  # fmt: skip
