"""Payments: stored value spent at a till, held while an order ships, given back on a refund.

Owns `payment_intents`, `payment_sources`, `payment_parts`, `payment_refunds`, `till_references` and `spending_days`.
"""

from tallystick.payments.authorizing import Paid, authorize
from tallystick.payments.capturing import CapturePaymentIntent, capture
from tallystick.payments.changing import CancelPaymentIntent, cancel
from tallystick.payments.deciding import AuthorizePayment, SourceAsked
from tallystick.payments.expiry import expire_at, expire_due, next_deadline
from tallystick.payments.increasing import IncreasePaymentIntent, increase
from tallystick.payments.model import (
    DuplicateReference,
    InsufficientValue,
    PaymentIntent,
    PaymentLimit,
    PaymentReversed,
    SourceNotUsable,
    Status,
)
from tallystick.payments.refunding import RefundPaymentIntent, refund
from tallystick.payments.reversing import ReversePayment, reverse

__all__ = [
    "AuthorizePayment",
    "CancelPaymentIntent",
    "CapturePaymentIntent",
    "DuplicateReference",
    "IncreasePaymentIntent",
    "InsufficientValue",
    "Paid",
    "PaymentIntent",
    "PaymentLimit",
    "PaymentReversed",
    "RefundPaymentIntent",
    "ReversePayment",
    "SourceAsked",
    "SourceNotUsable",
    "Status",
    "authorize",
    "cancel",
    "capture",
    "expire_at",
    "expire_due",
    "increase",
    "next_deadline",
    "refund",
    "reverse",
]
