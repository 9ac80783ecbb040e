"""What becomes of payments, over HTTP: capture, increase, cancel, refund, and the reversal by a till that timed out."""

from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tallystick.base import ids
from tallystick.base.errors import IdempotencyConflict, InvalidRequest, InvalidState, NotFound, attribute
from tallystick.base.routes import Call, Reply, Route, Takes
from tallystick.customers.api import NoAttributes, path_id, replied
from tallystick.merchants import MerchantDirectory, MerchantRef
from tallystick.payments.capturing import CapturePaymentIntent, capture
from tallystick.payments.changing import CancelPaymentIntent, HoldExpired, cancel, missing
from tallystick.payments.increasing import IncreasePaymentIntent, increase
from tallystick.payments.model import (
    AMOUNT_MAX,
    REFERENCE_MAX,
    InsufficientValue,
    PaymentLimit,
    SourceNotUsable,
)
from tallystick.payments.refunding import RefundPaymentIntent, SourceClosed, refund
from tallystick.payments.resource import PAYMENT_INTENT
from tallystick.payments.reversing import PAYMENT_REVERSAL, ReversePayment, reverse

REASON_MAX: Final = 255

Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="Minor units of the payment's currency.")]
Reason = Annotated[str, Meta(max_length=REASON_MAX, description="Why, for your own records; no event tells it.")]
Reference = Annotated[
    str, Meta(min_length=1, max_length=REFERENCE_MAX, description="The till's own name for the payment, as it sent it.")
]


class CapturePaymentAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How much to take of what is held; all of it, unless told. The rest is free again."""

    amount: Amount | None = None


class IncreasePaymentAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How much more to hold."""

    amount: Amount


class RefundPaymentAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How much to give back; all that is left, unless told."""

    amount: Amount | None = None
    reason: Reason | None = None


class ReversePaymentAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Which payment to take back, made or still to come."""

    external_reference: Reference
    merchant_id: str | None = None


async def capture_payment(call: Call) -> Reply:
    """Take all or a part of what the payment holds; once."""
    wanted: CapturePaymentAttributes | None = call.attributes
    command = CapturePaymentIntent(call.asked, path_id(call, missing()), None if wanted is None else wanted.amount)
    return replied(await call.house.batcher.submit(capture, call.caller.tenant, command))


async def increase_payment(call: Call) -> Reply:
    """Hold more, out of the same sources."""
    wanted: IncreasePaymentAttributes = call.attributes
    command = IncreasePaymentIntent(call.asked, path_id(call, missing()), wanted.amount)
    return replied(await call.house.batcher.submit(increase, call.caller.tenant, command))


async def cancel_payment(call: Call) -> Reply:
    """Let go of everything the payment holds."""
    command = CancelPaymentIntent(call.asked, path_id(call, missing()))
    return replied(await call.house.batcher.submit(cancel, call.caller.tenant, command))


async def refund_payment(call: Call) -> Reply:
    """Give back what was captured, in as many parts as are wanted."""
    wanted: RefundPaymentAttributes | None = call.attributes
    amount, reason = (None, None) if wanted is None else (wanted.amount, wanted.reason)
    blank = reason is None or not reason.strip()
    command = RefundPaymentIntent(call.asked, path_id(call, missing()), amount, None if blank else reason)
    return replied(await call.house.batcher.submit(refund, call.caller.tenant, command))


async def reverse_payment(directory: MerchantDirectory, call: Call) -> Reply:
    """Take back what the till's reference stands for, whether it came already or not."""
    wanted: ReversePaymentAttributes = call.attributes
    merchant = await _merchant(directory, call, wanted.merchant_id)
    command = ReversePayment(call.asked, merchant.id, wanted.external_reference)
    return replied(await call.house.batcher.submit(reverse, call.caller.tenant, command))


async def _merchant(directory: MerchantDirectory, call: Call, named: str | None) -> MerchantRef:
    merchant_id = None if named is None else ids.parse(named)
    if named is not None and merchant_id is None:
        raise InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    return directory.resolve_cached(call.caller, merchant_id) or await directory.resolve(call.caller, merchant_id)


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """What this part of the room offers over HTTP."""
    write, payment, one = "payment-intents:write", PAYMENT_INTENT, f"{PAYMENT_INTENT.path}/{{id}}"
    captures = Takes(CapturePaymentAttributes, ("CapturePaymentIntent",), {"amount": 1250}, optional=True)
    increases = Takes(IncreasePaymentAttributes, ("IncreasePaymentIntent",), {"amount": 300})
    cancels = Takes(NoAttributes, ("CancelPaymentIntent",), optional=True)
    refunds = Takes(RefundPaymentAttributes, ("RefundPaymentIntent",), {"amount": 400}, optional=True)
    reverses = Takes(ReversePaymentAttributes, ("ReversePayment",), {"externalReference": "till-4-000917"})
    reversing = partial(reverse_payment, directory)
    errors = (NotFound, InvalidState, IdempotencyConflict)
    more = (HoldExpired, InsufficientValue, SourceNotUsable, PaymentLimit)
    return (
        Route(
            "POST", f"{payment.path}/reverse", reversing, write, "Take back a payment by the till's reference",
            reverses, PAYMENT_REVERSAL, keyed=True, errors=(SourceClosed, IdempotencyConflict),
        ),
        Route(
            "POST", f"{one}/capture", capture_payment, write, "Take what a payment holds",
            captures, payment, keyed=True, errors=(*errors, HoldExpired),
        ),
        Route(
            "POST", f"{one}/increase", increase_payment, write, "Hold more for a payment",
            increases, payment, keyed=True, errors=(*errors, *more),
        ),
        Route(
            "POST", f"{one}/cancel", cancel_payment, write, "Let go of what a payment holds",
            cancels, payment, keyed=True, errors=errors,
        ),
        Route(
            "POST", f"{one}/refund", refund_payment, write, "Give back what a payment took",
            refunds, payment, keyed=True, errors=(*errors, SourceClosed),
        ),
    )  # fmt: skip
