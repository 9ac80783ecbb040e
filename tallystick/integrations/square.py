"""Square: payments and refunds, as its webhooks tell them.

Signature (https://developer.squareup.com/docs/webhooks/step3validate): the header `x-square-hmacsha256-signature` is the base64 of
HMAC-SHA256, keyed with the subscription's signature key, over the notification URL followed by the body.

Documents (https://developer.squareup.com/reference/square/objects/Payment and …/PaymentRefund): `payment.created`,
`payment.updated`, `refund.created` and `refund.updated` hold the whole object in `data.object`. Money is in minor units. A sale
that is paid in several ways is several payments. What a payment does not tell is tax and lines: its order has them.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from tallystick.activity import Identity, Payment
from tallystick.activity.model import AHEAD, Method
from tallystick.integrations.model import Adapter, Happened, Ignored, Shop, Told, Unreadable
from tallystick.integrations.reading import Part, Unread, document
from tallystick.integrations.signing import mac, matches, of_base64

SIGNATURE: Final = "x-square-hmacsha256-signature"

OLDEST: Final = timedelta(days=30)
"""How old an event may be. Its instant is in the signed body; Square sends again for a day and keeps events for 28."""

METHODS: Final[Mapping[str, Method]] = {
    "CASH": "Cash",
    "BANK_ACCOUNT": "Wire",
    "WALLET": "Other",
    "BUY_NOW_PAY_LATER": "Other",
    "SQUARE_ACCOUNT": "Other",
    "EXTERNAL": "Other",
}
CHANNELS: Final = {
    "SQUARE_POS": "store",
    "TERMINAL_API": "store",
    "ECOMMERCE_API": "web",
    "ONLINE_STORE": "web",
    "INVOICES": "invoice",
    "VIRTUAL_TERMINAL": "phone",
}


def is_signed(secret: bytes, url: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether whoever sent this knows the signature key of the subscription for this notification URL."""
    return matches(mac(secret, url.encode() + body), of_base64(headers.get(SIGNATURE)))


def read(shop: Shop, _headers: Mapping[str, str], body: bytes) -> Told:
    """What an event tells."""
    try:
        event = document(body)
        kind = event.text("type")
        if event.text("merchant_id") != shop.account:
            return Ignored("It is of another account.")
        if kind not in ("payment.created", "payment.updated", "refund.created", "refund.updated"):
            return Ignored("Events of this type are not needed.")
        made_at = event.instant("created_at")
        if not shop.now - OLDEST <= made_at <= shop.now + AHEAD:
            return Unreadable(f"The event was not made within the last {OLDEST.days} days.")
        name = kind.partition(".")[0]
        told = event.part("data").part("object").part(name)
        status = told.text("status")
        if status != "COMPLETED":
            return Ignored("It is not completed.")
        return [_payment(told) if name == "payment" else _refund(told)]
    except Unread as unread:
        return Unreadable(str(unread))


def _payment(payment: Part) -> Happened:
    amount, currency = _money(payment)
    application = payment.part_or_none("application_details")
    product = None if application is None else application.text_or_none("square_product")
    return Happened(
        "Purchase",
        payment.text("id"),
        payment.instant("created_at"),
        currency,
        amount,
        payments=(Payment(amount, _method(payment)),),
        identity=_identity(payment),
        channel=None if product is None else CHANNELS.get(product, "other"),
        place=payment.text_or_none("location_id"),
    )


def _refund(refund: Part) -> Happened:
    amount, currency = _money(refund)
    return Happened(
        "Refund",
        refund.text("id"),
        refund.instant("created_at"),
        currency,
        amount,
        place=refund.text_or_none("location_id"),
        linked_source_id=refund.text_or_none("payment_id"),
    )


def _money(told: Part) -> tuple[int, str]:
    """The amount and its currency; a tip is apart and is no purchase."""
    money = told.part("amount_money")
    return money.whole("amount"), money.currency("currency")


def _card(payment: Part) -> Part | None:
    details = payment.part_or_none("card_details")
    return None if details is None else details.part_or_none("card")


def _method(payment: Part) -> Method:
    source = payment.text_or_none("source_type") or ""
    card = _card(payment)
    if source != "CARD" or card is None:
        return "CreditCard" if source == "CARD" else METHODS.get(source, "Unknown")
    if card.text_or_none("card_brand") == "SQUARE_GIFT_CARD":
        return "GiftCard"
    return "DebitCard" if card.text_or_none("card_type") == "DEBIT" else "CreditCard"


def _identity(payment: Part) -> Identity | None:
    """The customer by Square's own id, else the card by its fingerprint, which is the same for a card at every payment."""
    if (customer_id := payment.text_or_none("customer_id")) is not None:
        return Identity("externalId", customer_id)
    card = _card(payment)
    fingerprint = None if card is None else card.text_or_none("fingerprint")
    return None if fingerprint is None else Identity("cardToken", fingerprint)


ADAPTER: Final = Adapter(
    system="square",
    title="Square",
    kept=(SIGNATURE,),
    account_form="the merchant id, such as MLEFBHHSJGVHD",
    is_signed=is_signed,
    read=read,
)
