"""The reward on the wire: one shape for immediate and pre-issued ones, and the same without what is personal for events."""

from datetime import datetime
from uuid import UUID

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.base.work import Asked, Caller, Work
from tallystick.customers.recipients import Recipient
from tallystick.events import Event
from tallystick.rewards.model import Private, Reward

EXAMPLE = {
    "kind": "preIssued",
    "amount": 500,
    "walletId": None,
    "status": "Created",
    "canUpdate": True,
    "canCancel": True,
    "claimExpiresAt": "2026-09-15T12:00:00.000Z",
    "message": "Thank you for your patience!",
    "reasonCode": "CX-COMPENSATION",
    "costCenter": None,
    "notificationEmail": "agent@partner.example",
    "currency": "USD",
    "merchantId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "reversedAmount": 0,
    "createdAt": "2026-06-17T12:00:00.000Z",
    "updatedAt": "2026-06-17T12:00:00.000Z",
}


class RewardAttributes(msgspec.Struct, rename="camel", gc=False):
    """What a partner reads of a reward."""

    kind: str
    amount: int
    wallet_id: str | None
    status: str
    can_update: bool
    can_cancel: bool
    claim_expires_at: str | None
    message: str | None
    reason_code: str | None
    cost_center: str | None
    notification_email: str | None
    currency: str
    merchant_id: str
    reversed_amount: int
    created_at: str
    updated_at: str


class RewardEventAttributes(msgspec.Struct, rename="camel", gc=False):
    """What an event tells of a reward: nothing personal, no free text."""

    kind: str
    amount: int
    wallet_id: str | None
    status: str
    can_update: bool
    can_cancel: bool
    claim_expires_at: str | None
    reason_code: str | None
    cost_center: str | None
    currency: str
    merchant_id: str
    reversed_amount: int
    created_at: str
    updated_at: str


REWARD = Resource("Reward", "/api/v1/rewards", RewardAttributes, EXAMPLE)
REWARD_EVENT = Resource("Reward", "/api/v1/rewards", RewardEventAttributes)

NOTHING_PRIVATE = Private(None, None)
EMPTY = b'{"data":null}'


class _Private(msgspec.Struct, array_like=True, gc=False):
    message: str | None
    notification_email: str | None


_encode_private = msgspec.msgpack.Encoder().encode
_decode_private = msgspec.msgpack.Decoder(_Private).decode


def seal_private(private: Private, recipient: Recipient, reward_id: UUID) -> bytes | None:
    """Message and e-mail under the recipient's key; None where there is neither."""
    if private.message is None and private.notification_email is None:
        return None
    return recipient.key.seal(_encode_private(_Private(private.message, private.notification_email)), reward_id.bytes)


def open_private(reward: Reward, recipient: Recipient) -> Private:
    """The message and e-mail of a reward."""
    if reward.private_sealed is None:
        return NOTHING_PRIVATE
    opened = _decode_private(recipient.key.open(reward.private_sealed, reward.id.bytes))
    return Private(opened.message, opened.notification_email)


def resource(reward: Reward, private: Private, now: datetime, reader: Caller) -> bytes:
    """The resource object of a reward as it stands at `now`, for whoever reads it."""
    return jsonapi.resource(REWARD, reward.id, attributes(reward, private, now, reader))


def attributes(reward: Reward, private: Private, now: datetime, reader: Caller | None = None) -> RewardAttributes:
    """What a partner reads of a reward at `now`. Only its own partner can change it; None reads as that one does."""
    mine = reader is None or reader.partner_id == reward.partner_id
    open_ = mine and reward.can_change(now)
    return RewardAttributes(
        kind=reward.kind,
        amount=reward.amount,
        wallet_id=None if reward.wallet_id is None else str(reward.wallet_id),
        status=reward.effective(now),
        can_update=open_,
        can_cancel=open_,
        claim_expires_at=None if reward.claim_expires_at is None else clock.render(reward.claim_expires_at),
        message=private.message,
        reason_code=reward.reason_code,
        cost_center=reward.cost_center,
        notification_email=private.notification_email,
        currency=reward.currency,
        merchant_id=str(reward.merchant_id),
        reversed_amount=reward.reversed_amount,
        created_at=clock.render(reward.created_at),
        updated_at=clock.render(reward.updated_at),
    )


def told(shown: RewardAttributes) -> RewardEventAttributes:
    """The same reward as an event tells it."""
    return RewardEventAttributes(
        shown.kind,
        shown.amount,
        shown.wallet_id,
        shown.status,
        shown.can_update,
        shown.can_cancel,
        shown.claim_expires_at,
        shown.reason_code,
        shown.cost_center,
        shown.currency,
        shown.merchant_id,
        shown.reversed_amount,
        shown.created_at,
        shown.updated_at,
    )


def event(work: Work, topic: str, reward: Reward, asked: Asked | None) -> Event:
    """The event that tells what became of a reward; `asked` is None where time did it."""
    return Event(
        topic=topic,
        subject_type="Reward",
        subject_id=reward.id,
        sequence=reward.version,
        document=jsonapi.resource(REWARD_EVENT, reward.id, told(attributes(reward, NOTHING_PRIVATE, work.now))),
        partner_id=reward.partner_id,
        merchant_id=reward.merchant_id,
        request_id=None if asked is None else asked.request_id,
    )
