"""Cards on their way to their recipients: when it is time by the tenant's clock and they can be used; and once more when asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

import tallystick.giftcards.delivery_store as delivery_store
import tallystick.giftcards.store as store
from tallystick import audit, events, merchants, messages
from tallystick.base import clock, idempotency
from tallystick.base.errors import InvalidRequest, InvalidState, NotFound, RateLimited, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Asked, Runtime, Tenant, Work
from tallystick.giftcards import codes, resource, states
from tallystick.giftcards.activities import moved_on
from tallystick.giftcards.delivery_store import Delivery
from tallystick.giftcards.model import EMPTY, LIVING, Activity, Balance, GiftCard
from tallystick.giftcards.sent import DeliveryWish, Letter
from tallystick.merchants import Merchant

AT_ONCE: Final = 100
"""How many cards one work delivers: cut by how long their locks are held."""
RESENT_MAX: Final = 5
RESENT_WITHIN: Final = timedelta(hours=24)
"""How often one card is sent in how long a time."""


@dataclass(frozen=True, slots=True)
class ResendCard:
    """A partner's wish to send a card again: where it was sent last, unless told otherwise."""

    asked: Asked
    card_id: UUID
    wish: DeliveryWish | None = None


async def next_delivery(work: Work) -> datetime | None:
    """When the next card of the tenant is to be sent."""
    return await delivery_store.next_due(work)


async def deliver_at(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
    """Send what is due at `at`, up to a number; whether anything was. Events are dated at that instant."""
    async with runtime.work(tenant, at=at) as work:
        due = await delivery_store.due(work, AT_ONCE)
        if due:
            await _deliver(work, due)
    return bool(due)


async def deliver_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, send what is due, at the earliest time that has come; whether any had."""
    async with runtime.discovering() as db:
        rows = await db.rows(delivery_store.DISCOVERY_DUE, runtime.clock())
    return await each_in_turn(rows, lambda tenant, row: deliver_at(runtime, tenant, row[3]))


async def resend(work: Work, commands: Sequence[ResendCard]) -> list[Answer | Refusal]:
    """Send each card again, once for its key: within moments, by the loop that sends all of them."""

    async def prepare(work: Work, commands: Sequence[ResendCard]) -> None:
        await store.lock(work, list({command.card_id for command in commands}))

    return await idempotency.keyed(
        work,
        "gift-cards.resend",
        commands,
        _resend,
        fingerprint=lambda command: msgspec.json.encode([command.card_id, command.wish]),
        seal=HouseSeal(),
        prepare=prepare,
    )


async def _deliver(work: Work, due: Sequence[tuple[UUID, UUID]]) -> None:
    cards = await store.lock(work, list({card_id for _, card_id in due}))
    # Between finding and locking, another may have sent it, or the card may have been frozen: then it waits.
    waiting = [each for each in await delivery_store.lock(work, [delivery_id for delivery_id, _ in due]) if each.waits]
    going = [each for each in waiting if states.meets("deliver", cards[each.card_id].effective(work.now))]
    ended = [each for each in waiting if cards[each.card_id].effective(work.now) not in LIVING]
    shops = await merchants.by_ids(work, list({card.merchant_id for card in cards.values()}))
    balances = await store.balances(work, list(cards))
    for each in going:
        card = cards[each.card_id]
        await _send(work, each, card, shops[card.merchant_id])
        cards[card.id] = _delivered(work, each, card, balances.get(card.id, EMPTY))
    if going:
        await delivery_store.sent(work, [each.id for each in going])
        await store.update(work, list({each.card_id: cards[each.card_id] for each in going}.values()))
    if ended:
        await delivery_store.cancelled(work, [each.id for each in ended])


def _delivered(work: Work, delivery: Delivery, card: GiftCard, balance: Balance) -> GiftCard:
    """The card one version on, with what is written down of it."""
    card = moved_on(card, "deliver", work.now)
    activity = Activity(
        card_id=card.id,
        sequence=card.version,
        kind="deliver",
        amount=0,
        balance_after=balance.available + balance.held,
        reason=None,
        journal_id=None,
        cause_id=delivery.id,
        partner_id=delivery.partner_id,
        request_id=delivery.request_id,
        at=work.now,
    )
    store.insert_activities(work, [activity])
    told = resource.event("gift_card.delivered", card, balance, work.now)
    events.record(work, msgspec.structs.replace(told, request_id=delivery.request_id))
    return card


async def _send(work: Work, delivery: Delivery, card: GiftCard, shop: Merchant) -> None:
    letter = delivery_store.letter(work, delivery)
    await messages.send(
        work,
        # Nobody here knows the recipient but by this card.
        recipient_id=card.id,
        partner_id=delivery.partner_id,
        channel=delivery.channel,
        kind="gift_card",
        to=letter.to,
        content=_content(work, card, shop, letter),
    )


def _content(work: Work, card: GiftCard, shop: Merchant, letter: Letter) -> Mapping[str, str]:
    wanted = {
        "code": codes.written(codes.unseal(work, card.id, card.code_sealed)),
        "amount": str(card.initial_amount),
        "currency": card.currency,
        "merchant": shop.name,
        "pin": None if card.pin_sealed is None else codes.unseal_pin(work, card.id, card.pin_sealed),
        "expires": None if card.expires_at is None else clock.render(card.expires_at)[:10],
        "sender": letter.sender_name,
        "recipient": letter.recipient_name,
        "message": letter.message,
    }
    return {name: value for name, value in wanted.items() if value is not None}


async def _resend(work: Work, command: ResendCard) -> Answer | Refusal:
    card = (await store.by_ids(work, [command.card_id])).get(command.card_id)
    caller = command.asked.caller
    if card is None or card.partner_id != caller.partner_id or not card.seen_by(caller):
        return missing()
    if card.effective(work.now) != "active":
        return InvalidState(f"The card is {card.effective(work.now)}; only an active one is sent.")
    earlier = await delivery_store.of_card(work, card.id)
    refusal = _too_often(work, earlier)
    if refusal is not None:
        return refusal
    wish = command.wish or _again(work, earlier)
    if wish is None:
        detail = "The card was never sent to anyone. Say where to: name the channel and the address."
        return InvalidRequest(detail, source=attribute("to"))
    await delivery_store.insert(work, [(card.id, command.asked, wish)])
    audit.note(work, command.asked, status=202, resource_id=card.id)
    balance = (await store.balances(work, [card.id])).get(card.id)
    return Answer(202, resource.document(card, balance, work.now), card.id)


def _again(work: Work, earlier: Sequence[Delivery]) -> DeliveryWish | None:
    kept = [each for each in earlier if each.content_sealed is not None]
    return DeliveryWish(kept[-1].channel, delivery_store.letter(work, kept[-1]), None) if kept else None


def _too_often(work: Work, earlier: Sequence[Delivery]) -> Refusal | None:
    if any(each.waits for each in earlier):
        return InvalidState("The card is on its way already. Wait until it was delivered.")
    recent = [each.created_at for each in earlier if each.created_at > work.now - RESENT_WITHIN]
    if len(recent) < RESENT_MAX:
        return None
    seconds = int((recent[-RESENT_MAX] + RESENT_WITHIN - work.now).total_seconds()) + 1
    return RateLimited(
        f"The card was sent {len(recent)} times within a day. Try again later.", headers=[("retry-after", str(seconds))]
    )


def missing() -> NotFound:
    """The refusal for a card that is not there, or not for this caller."""
    return NotFound("No gift card has this id. Verify the id.")
