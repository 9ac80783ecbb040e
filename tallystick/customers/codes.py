"""One-time codes: a holder proves that a phone is theirs by reading out what was sent to it.

A code has six digits and lives ten minutes of real time. Five may be sent to one phone in an hour and each may be tried five times,
so that an hour of guessing finds one in 40,000. Only its keyed digest is kept.
"""

import hmac
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import tallystick.customers.store as store
from tallystick import audit, messages
from tallystick.base import idempotency, ids, secrets
from tallystick.base.errors import InvalidRequest, InvalidState, RateLimited, Refusal, attribute
from tallystick.base.idempotency import Answer
from tallystick.base.work import Work
from tallystick.customers import recipients, resource
from tallystick.customers.actions import UserSeal, hold, own
from tallystick.customers.model import Customer, SendCode, canonical, not_active

DIGITS: Final = 6
LIFE: Final = timedelta(minutes=10)
SENDS_MAX: Final = 5
SENDS_WINDOW: Final = timedelta(hours=1)
TRIES_MAX: Final = 5


async def send_code(work: Work, commands: Sequence[SendCode]) -> list[Answer | Refusal]:
    """A fresh code on its way to each user's phone; it ends the one before."""
    return await idempotency.keyed(
        work,
        "users.send-code",
        commands,
        _send,
        fingerprint=lambda command: canonical(command, ("user_id",)),
        seal=UserSeal(),
        prepare=_hold_users,
    )


async def right(work: Work, customer: Customer, code: str) -> bool:
    """Whether `code` is the one that a held customer was last sent, and may still be used; it never may be again.

    A wrong one counts as a try, and that stays when the request is refused: a verb that returns a refusal still commits.
    """
    sent = await store.open_code(work, customer.id)
    if sent is None or sent.recipient_id != customer.recipient_id or sent.tries >= TRIES_MAX:
        return False
    matches = any(hmac.compare_digest(sent.digest, digest) for digest in _digests(work, sent.id, code))
    await store.try_code(work, sent.id, used=matches)
    return matches


def wrong() -> InvalidRequest:
    """The one refusal for a code that is wrong, expired, used, replaced or tried too often: it tells a guesser nothing."""
    return InvalidRequest(
        "The code is not valid. Check it, or send a new one; a code is valid for ten minutes and five tries.",
        source=attribute("code"),
    )


async def _hold_users(work: Work, commands: Sequence[SendCode]) -> None:
    await hold(work, [command.user_id for command in commands])


async def _send(work: Work, command: SendCode) -> Answer | Refusal:
    customer = await own(work, command.asked, command.user_id)
    if isinstance(customer, Refusal):
        return customer
    if customer.status != "active":
        return not_active(customer)
    if customer.recipient_id is None or customer.personal.phone is None:
        return InvalidState("The user has no phone number that a code could be sent to.")
    earlier = await store.sent_since(work, customer.recipient_id, work.real_now - SENDS_WINDOW)
    if len(earlier) >= SENDS_MAX:
        wait = math.ceil((earlier[-SENDS_MAX] + SENDS_WINDOW - work.real_now).total_seconds())
        return RateLimited(
            f"At most {SENDS_MAX} codes an hour are sent to one phone number; try again in {wait} seconds.",
            headers=[("retry-after", str(wait))],
        )
    await _send_to(work, customer, customer.recipient_id, customer.personal.phone)
    audit.note(work, command.asked, status=202, resource_id=customer.id)
    return Answer(202, resource.document(customer), customer.id)


async def _send_to(work: Work, customer: Customer, recipient_id: UUID, phone: str) -> None:
    code, code_id = secrets.new_code(DIGITS), ids.new()
    await store.end_codes(work, customer.id)
    digest = _digests(work, code_id, code)[0]
    await store.insert_code(work, code_id, customer.id, recipient_id, digest, work.real_now + LIFE)
    person = (await recipients.by_ids(work, [recipient_id]))[recipient_id]
    await messages.send(
        work,
        recipient_id=recipient_id,
        partner_id=customer.partner_id,
        channel="sms",
        kind="code",
        to=phone,
        content={"code": code, "minutes": str(LIFE // timedelta(minutes=1))},
        key=person.key,
    )


def _digests(work: Work, code_id: UUID, code: str) -> list[bytes]:
    """The code's keyed digests by every version of the house's keys, the current first; each code has its own."""
    return work.keys.secret_digests(f"{code_id}:{code}")
