"""The later life of gift cards over HTTP: what is done with them, what happened to them, and the law they keep to."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

import tallystick.giftcards.life_store as life_store
import tallystick.giftcards.store as store
from tallystick.base import ids, jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    QuotaExceeded,
    Refusal,
    Refusals,
    attribute,
    parameter,
)
from tallystick.base.routes import PAGE, Call, Handler, Parameter, Reply, Resource, Route, Takes
from tallystick.customers.api import NoAttributes, path_id, replied
from tallystick.giftcards import (
    adjusting,
    charging_back,
    ending,
    freezing,
    jurisdictions,
    life_resource,
    loading,
    replacing,
    resource,
    sent,
)
from tallystick.giftcards.adjusting import AdjustCard, DecideAdjustment, SecondPersonNeeded
from tallystick.giftcards.charging_back import ChargeBackCard
from tallystick.giftcards.delivery import missing
from tallystick.giftcards.ending import CancelCard, CashOutCard, CashOutNotAllowed
from tallystick.giftcards.freezing import ActivateCard, FreezeCard, UnfreezeCard
from tallystick.giftcards.loading import LoadCard
from tallystick.giftcards.model import AMOUNT_MAX
from tallystick.giftcards.replacing import ReplaceCard
from tallystick.ledger import ValueHeld
from tallystick.merchants import InsufficientFunding, MerchantDirectory


class LoadAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is added."""

    amount: sent.Amount


class AdjustAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is added (above zero) or taken off (below), and why."""

    amount: Annotated[
        int, Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX, description="Minor units of the card's currency, signed, never 0.")
    ]
    reason: Literal[
        "complimentary",
        "support_issue",
        "transaction_voided",
        "suspicious_activity",
        "balance_accidentally_increased",
        "purchase_was_refunded",
    ]
    value_class: Annotated[
        Literal["paid", "promotional"],
        Meta(description="Of what is added: paid for by somebody before, or given."),
    ] = "promotional"


class FreezeAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Why a card is frozen."""

    reason: Literal["lost", "stolen", "suspected_fraud", "customer_request", "legal_order"]


class UnfreezeAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Why a card is used again."""

    reason: Literal["found", "cleared", "customer_request"] = "cleared"


class ReplaceAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Why a card is replaced."""

    reason: Literal["lost", "stolen", "damaged", "compromised"]


class CancelAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Why a card ends, and whether what is unspent of its price goes back to its buyer."""

    reason: Literal["issued_in_error", "customer_request", "suspected_fraud", "purchase_refunded"]
    refund: bool = False


class ChargeBackAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What the charge-back is called elsewhere."""

    external_reference: sent.Reference | None = None


async def activate_card(call: Call) -> Reply:
    """Let a card that waits be spent."""
    command = ActivateCard(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(freezing.activate, call.caller.tenant, command))


async def load_card(call: Call) -> Reply:
    """Add value; what was paid for lasts as long as the law asks from now on."""
    wanted: LoadAttributes = call.attributes
    command = LoadCard(call.asked, path_id(call, missing()), wanted.amount)
    return replied(await call.house.batcher.submit(loading.load, call.caller.tenant, command))


async def adjust_card(call: Call) -> Reply:
    """Correct what is on a card: at once (`approved`), or above the merchant's limit once another client approves (`pending`)."""
    wanted: AdjustAttributes = call.attributes
    if wanted.amount == 0:
        raise InvalidRequest("An adjustment adds or takes off at least 1.", source=attribute("amount"))
    refusal = adjusting.refuse_reason(wanted.amount, wanted.reason)
    if refusal is not None:
        raise refusal
    card_id = path_id(call, missing())
    command = AdjustCard(call.asked, card_id, wanted.amount, wanted.reason, wanted.value_class)
    return replied(await call.house.batcher.submit(adjusting.adjust, call.caller.tenant, command))


async def freeze_card(call: Call) -> Reply:
    """Let nothing in and nothing out."""
    wanted: FreezeAttributes = call.attributes
    command = FreezeCard(call.asked, path_id(call, missing()), wanted.reason)
    return replied(await call.house.batcher.submit(freezing.freeze, call.caller.tenant, command))


async def unfreeze_card(call: Call) -> Reply:
    """Let a frozen card be used as before."""
    wanted: UnfreezeAttributes = call.attributes or UnfreezeAttributes()
    command = UnfreezeCard(call.asked, path_id(call, missing()), wanted.reason)
    return replied(await call.house.batcher.submit(freezing.unfreeze, call.caller.tenant, command))


async def replace_card(call: Call) -> Reply:
    """A new card with a new number takes the value over; the old number is dead. The new number is shown here, for a day."""
    wanted: ReplaceAttributes = call.attributes
    command = ReplaceCard(call.asked, path_id(call, missing()), wanted.reason)
    return replied(await call.house.batcher.submit(replacing.replace, call.caller.tenant, command))


async def cancel_card(call: Call) -> Reply:
    """End a card for good; with `refund`, what is unspent of its price goes back to its buyer."""
    wanted: CancelAttributes = call.attributes
    command = CancelCard(call.asked, path_id(call, missing()), wanted.reason, wanted.refund)
    return replied(await call.house.batcher.submit(ending.cancel, call.caller.tenant, command))


async def charge_card_back(call: Call) -> Reply:
    """The purchase was charged back: the card is frozen for good, and gives up what is unspent."""
    wanted: ChargeBackAttributes = call.attributes or ChargeBackAttributes()
    reference = sent.text(wanted.external_reference)
    command = ChargeBackCard(call.asked, path_id(call, missing()), reference)
    return replied(await call.house.batcher.submit(charging_back.charge_back, call.caller.tenant, command))


async def cash_card_out(call: Call) -> Reply:
    """Pay out what is left of what was paid for, where the law asks for it."""
    command = CashOutCard(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(ending.cash_out, call.caller.tenant, command))


async def approve_adjustment(call: Call) -> Reply:
    """Let a correction be carried out that another client asked for."""
    return await _decide(call, "approved")


async def reject_adjustment(call: Call) -> Reply:
    """Refuse a correction that another client asked for."""
    return await _decide(call, "rejected")


async def list_activities(call: Call) -> Reply:
    """What happened to a card, newest first, with the balance after each."""
    offset, limit = jsonapi.page(call)
    card_id = path_id(call, missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        card = (await store.by_ids(work, [card_id])).get(card_id)
        if card is None or not card.seen_by(call.caller):
            raise missing()
        page, total = await store.activities(work, card_id, offset, limit)
        taken = (await life_store.charge_backs(work, [card_id])).get(card_id)
    reference = None if taken is None else taken.external_reference
    shown = [life_resource.activity(card, each, reference if each.kind == "charge_back" else None) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call), resource_id=card_id)


async def get_adjustment(call: Call) -> Reply:
    """One correction."""
    adjustment_id = path_id(call, adjusting.missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = (await life_store.adjustments(work, [adjustment_id])).get(adjustment_id)
        if found is None or not adjusting.seen_by(call.caller, found):
            raise adjusting.missing()
        card = (await store.by_ids(work, [found.card_id]))[found.card_id]
    return Reply(200, life_resource.adjustment_document(found, card), resource_id=adjustment_id)


async def list_adjustments(call: Call) -> Reply:
    """Corrections, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    status = call.query.get("filter[status]")
    if status not in (None, *ADJUSTMENT_STATUSES):
        detail = f"The status is one of {', '.join(ADJUSTMENT_STATUSES)}."
        faults.append(InvalidRequest(detail, source=parameter("filter[status]")))
    card_id = sent.filter_id(call, "filter[giftCardId]", faults)
    if faults:
        raise Refusals(faults)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        page, total = await life_store.listed_adjustments(work, call.caller, card_id, status, offset, limit)
        cards = await store.by_ids(work, list({each.card_id for each in page})) if page else {}
    shown = [life_resource.adjustment(each, cards[each.card_id].currency) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def list_rules(call: Call) -> Reply:
    """The rules of law that gift cards keep to here, with their sources. No legal advice."""
    offset, limit = jsonapi.page(call)
    country = call.query.get("filter[country]")
    found = [each for each in jurisdictions.rules() if country in (None, each.country)]
    shown = [life_resource.rule(each) for each in found[offset : offset + limit]]
    return Reply(200, jsonapi.listing(shown, total=len(found), offset=offset, limit=limit, call=call))


async def get_rule(call: Call) -> Reply:
    """One rule."""
    rule_id = ids.parse(call.path["id"])
    for each in jurisdictions.rules():
        if each.id == rule_id:
            return Reply(200, jsonapi.document(life_resource.rule(each)), resource_id=each.id)
    raise NotFound("No rule has this id. Verify the id.")


async def _decide(call: Call, verdict: Literal["approved", "rejected"]) -> Reply:
    command = DecideAdjustment(call.asked, path_id(call, adjusting.missing()), verdict)
    return replied(await call.house.batcher.submit(adjusting.decide, call.caller.tenant, command))


ADJUSTMENT_STATUSES: Final = ("pending", "approved", "rejected")
ADJUSTMENT_FILTERS: Final = (
    Parameter(
        "filter[status]", "Only those of this status.", schema={"type": "string", "enum": list(ADJUSTMENT_STATUSES)}
    ),
    Parameter("filter[giftCardId]", "Only those of this card."),
)
COUNTRY_FILTER: Final = Parameter("filter[country]", "Only rules of this country (ISO 3166-1) and its regions.")


WRITE: Final = "gift-cards:write"
STATE_ERRORS: Final = (NotFound, InvalidState, IdempotencyConflict)
CARD: Final = resource.GIFT_CARD
ADJUSTMENT: Final = life_resource.ADJUSTMENT


def routes(_directory: MerchantDirectory) -> tuple[Route, ...]:
    """What is done with cards, and what is read of that."""
    none = NoAttributes
    return (
        _verb("activate", activate_card, "Activate a gift card", none),
        _verb(
            "load", load_card, "Load value on a gift card", LoadAttributes, {"amount": 2500},
            errors=(QuotaExceeded, InsufficientFunding),
        ),
        _verb(
            "adjust", adjust_card, "Adjust the balance of a gift card", AdjustAttributes,
            {"amount": 500, "reason": "support_issue"}, gives=ADJUSTMENT, status=202,
        ),
        _verb("freeze", freeze_card, "Freeze a gift card", FreezeAttributes, {"reason": "lost"}),
        _verb("unfreeze", unfreeze_card, "Unfreeze a gift card", UnfreezeAttributes, {"reason": "found"}, optional=True),
        _verb(
            "replace", replace_card, "Replace a gift card by a new one", ReplaceAttributes, {"reason": "lost"},
            status=201, errors=(ValueHeld,),
        ),
        _verb(
            "cancel", cancel_card, "Cancel a gift card", CancelAttributes,
            {"reason": "customer_request", "refund": True}, errors=(ValueHeld,),
        ),
        _verb(
            "charge-back", charge_card_back, "Charge the purchase of a gift card back", ChargeBackAttributes,
            {"externalReference": "case-2231"}, optional=True,
        ),
        _verb(
            "cash-out", cash_card_out, "Pay out the rest of a gift card", none, errors=(ValueHeld, CashOutNotAllowed)
        ),
        _decision("approve", approve_adjustment, "Approve an adjustment that waits"),
        _decision("reject", reject_adjustment, "Reject an adjustment that waits"),
        *_readings(),
    )  # fmt: skip


def _verb(
    verb: str,
    handler: Handler,
    summary: str,
    takes: type[msgspec.Struct],
    example: Mapping[str, Any] | None = None,
    *,
    optional: bool = False,
    gives: Resource = CARD,
    status: int = 200,
    errors: tuple[type[Refusal], ...] = (),
) -> Route:
    """A verb on one card. Its document's type is the verb in camel case: `ChargeBackGiftCard`."""
    kind = "".join(word.title() for word in verb.split("-")) + CARD.type
    body = Takes(takes, (kind,), example or {}, optional=optional or takes is NoAttributes)
    return Route(
        "POST", f"{CARD.path}/{{id}}/{verb}", handler, WRITE, summary, body, gives,
        status=status, keyed=True, errors=(*STATE_ERRORS, *errors),
    )  # fmt: skip


def _decision(verb: str, handler: Handler, summary: str) -> Route:
    body = Takes(NoAttributes, (verb.title() + ADJUSTMENT.type,), optional=True)
    return Route(
        "POST", f"{ADJUSTMENT.path}/{{id}}/{verb}", handler, "gift-cards:approve", summary, body, ADJUSTMENT,
        keyed=True, errors=(*STATE_ERRORS, SecondPersonNeeded),
    )  # fmt: skip


def _readings() -> tuple[Route, ...]:
    read, rule = "gift-cards:read", life_resource.RULE
    return (
        Route(
            "GET", life_resource.ACTIVITY.path, list_activities, read, "List what happened to a gift card",
            gives=life_resource.ACTIVITY, many=True, query=PAGE, errors=(NotFound,),
        ),
        Route(
            "GET", ADJUSTMENT.path, list_adjustments, read, "List adjustments of gift cards",
            gives=ADJUSTMENT, many=True, query=(*ADJUSTMENT_FILTERS, *PAGE),
        ),
        Route(
            "GET", f"{ADJUSTMENT.path}/{{id}}", get_adjustment, read, "Get an adjustment of a gift card",
            gives=ADJUSTMENT, errors=(NotFound,),
        ),
        Route(
            "GET", rule.path, list_rules, read, "List the rules of law that gift cards keep to",
            gives=rule, many=True, query=(COUNTRY_FILTER, *PAGE),
        ),
        Route("GET", f"{rule.path}/{{id}}", get_rule, read, "Get a rule of law", gives=rule, errors=(NotFound,)),
    )  # fmt: skip
