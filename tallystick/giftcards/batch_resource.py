"""The batch of gift cards on the wire."""

from datetime import datetime

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.giftcards.batch_store import CardBatch

EXAMPLE = {
    "merchantId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "status": "running",
    "total": 100_000,
    "done": 2_500,
    "amount": 2500,
    "currency": "USD",
    "valueClass": "promotional",
    "activate": False,
    "reloadable": True,
    "pin": False,
    "designId": None,
    "expiresAt": None,
    "externalReference": "spring",
    "error": None,
    "activation": None,
    "activated": 0,
    "downloadedAt": None,
    "createdAt": "2026-06-17T12:00:00.000Z",
    "updatedAt": "2026-06-17T12:00:01.000Z",
}


class GiftCardBatchAttributes(msgspec.Struct, rename="camel"):
    """How far a batch is: `done` of `total` cards are made, of which the batch has `activated` some that were pending.

    `error` says why a paused one is paused.
    """

    merchant_id: str
    status: str
    total: int
    done: int
    amount: int
    currency: str
    value_class: str
    activate: bool
    reloadable: bool
    pin: bool
    design_id: str | None
    expires_at: str | None
    external_reference: str | None
    error: msgspec.Raw | None
    activation: str | None
    activated: int
    downloaded_at: str | None
    created_at: str
    updated_at: str


GIFT_CARD_BATCH = Resource("GiftCardBatch", "/api/v1/gift-card-batches", GiftCardBatchAttributes, EXAMPLE)


def resource(batch: CardBatch) -> bytes:
    """The resource object of a batch."""
    return jsonapi.resource(
        GIFT_CARD_BATCH,
        batch.id,
        GiftCardBatchAttributes(
            merchant_id=str(batch.merchant_id),
            status=batch.status,
            total=batch.total,
            done=batch.done,
            amount=batch.amount,
            currency=batch.currency,
            value_class=batch.value_class,
            activate=batch.activate,
            reloadable=batch.reloadable,
            pin=batch.pin,
            design_id=None if batch.design_id is None else str(batch.design_id),
            expires_at=_instant(batch.expires_at),
            external_reference=batch.external_reference,
            error=None if batch.error is None else msgspec.Raw(batch.error.encode()),
            activation=batch.activation,
            activated=batch.activated,
            downloaded_at=_instant(batch.downloaded_at),
            created_at=clock.render(batch.created_at),
            updated_at=clock.render(batch.updated_at),
        ),
    )


def document(batch: CardBatch) -> bytes:
    """The document of one batch."""
    return jsonapi.document(resource(batch))


def _instant(at: datetime | None) -> str | None:
    return None if at is None else clock.render(at)
