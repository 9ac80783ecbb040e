"""Erase a person, in one work: either nothing is left of them anywhere, or nothing has happened.

What is sealed under their key is gone with the key; what lies elsewhere is forgotten by the room that keeps it. The books stay
whole: they know random ids and amounts only (GDPR, article 17(3)(b) and (e)).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

import msgspec

from tallystick import audit, customers, events, rewards, wallets
from tallystick.activity import erasing as of_activity
from tallystick.base import idempotency, jsonapi
from tallystick.base.errors import InvalidState, NotFound, Refusal
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.customers import Customer
from tallystick.customers import erasing as of_customers
from tallystick.giftcards import delivery_store
from tallystick.ledger import ValueHeld
from tallystick.messages import erasing as of_messages
from tallystick.privacy import resource
from tallystick.rewards import Withdraw
from tallystick.rewards import erasing as of_rewards
from tallystick.wallets import Wallet

WALLETS_MAX: Final = 100_000
"""More than anybody has: a wallet is one of a merchant's."""


class ValueLeft(Refusal):
    code, status, title = "ValueLeft", 409, "The person still has value."


@dataclass(frozen=True, slots=True)
class EraseUser:
    """Erase a customer. Where they still have value, only if it is to be forfeited."""

    asked: Asked
    user_id: UUID
    reason: resource.Reason
    forfeit: bool


async def erase(work: Work, commands: Sequence[EraseUser]) -> list[Answer | Refusal]:
    """Nothing is known of these people any more. Whoever was erased before stays so."""

    async def prepare(work: Work, commands: Sequence[EraseUser]) -> None:
        everybody = {each for command in commands for each in await of_customers.family(work, command.user_id)}
        held = await customers.hold(work, list(everybody))
        await wallets.lock_of_customers(work, list(held))

    return await idempotency.keyed(
        work,
        "users.erase",
        commands,
        _erase,
        fingerprint=lambda each: msgspec.json.encode([each.user_id, each.reason, each.forfeit]),
        seal=HouseSeal(),
        prepare=prepare,
    )


async def _erase(work: Work, command: EraseUser) -> Answer | Refusal:
    asked = command.asked
    person = await customers.own(work, asked, command.user_id)
    if isinstance(person, NotFound):
        return person
    if person.status == "merged":
        return InvalidState(f"The user was merged into {person.merged_into}. Erase that one: both are one person.")
    if person.status == "erased":
        because = cast(resource.Reason | None, await of_customers.because(work, person.id))
        return _answer(work, asked, person, because)
    people = list((await customers.hold(work, await of_customers.family(work, person.id))).values())
    held = await wallets.lock_of_customers(work, [each.id for each in people])
    refusal = await _refuse_value(work, held, forfeit=command.forfeit)
    if refusal is not None:
        return refusal
    # Before anything else, while their names still find what they are about.
    await wallets.forfeit(work, [wallet.id for wallet in held])
    ever_held = await _ever_held(work, people)
    await wallets.write_off(work, ever_held)
    given = await of_rewards.came_into(work, [wallet.id for wallet in ever_held])
    recipients = await _recipients(work, people, person.partner_id, given.values())
    waiting = await of_rewards.waiting(work, recipients)
    await rewards.withdraw(work, [Withdraw(asked, reward_id, owing=False) for reward_id in waiting])
    await wallets.end(work, asked, await wallets.lock_of_customers(work, [each.id for each in people]))
    await of_activity.erase(work, people, recipients, await of_customers.tokens(work, people))
    await delivery_store.erase(work, _addresses(people, recipients))
    await of_rewards.erase(work, recipients, list(given))
    await of_messages.erase(work, [*recipients, *(each.id for each in people)])
    after = await of_customers.erase(work, people, recipients, command.reason)
    for each in after.values():
        events.record(work, resource.event(each, command.reason, asked))
    return _answer(work, asked, after[person.id], command.reason)


async def _recipients(work: Work, people: Sequence[Customer], partner_id: UUID, ever: Collection[UUID]) -> list[UUID]:
    """The phones that go with them: those they have, but where another partner's reward waits, which is not this one's to end;
    and those they had when something came to them, but where anything waits, which is for whoever has the phone now.
    """
    now = {person.recipient_id for person in people if person.recipient_id is not None}
    alone = await of_customers.theirs_alone(work, people, ever)
    kept = await of_rewards.awaited(work, [each for each in alone if each in now], but=partner_id)
    kept |= await of_rewards.awaited(work, [each for each in alone if each not in now])
    return [each for each in alone if each not in kept]


async def _refuse_value(work: Work, held: Sequence[Wallet], *, forfeit: bool) -> Refusal | None:
    balances = (await wallets.balances(work, [wallet.id for wallet in held])).values() if held else ()
    if any(balance.held for balance in balances):
        return ValueHeld("Authorised payments hold value of this user. Capture or cancel them, then erase the user.")
    if not forfeit and any(balance.available for balance in balances):
        return ValueLeft(
            "The user's wallets hold value. Let them spend it, take it back, or send forfeitValue: true to end it with them."
        )
    return None


async def _ever_held(work: Work, people: Sequence[Customer]) -> Sequence[Wallet]:
    found, _ = await wallets.listed(work, [person.id for person in people], None, None, 0, WALLETS_MAX)
    return found


def _addresses(people: Sequence[Customer], recipients: Collection[UUID]) -> list[str]:
    """Where they are written to. A phone that somebody else has too is not only theirs."""
    phones = [person.personal.phone for person in people if person.recipient_id in recipients]
    told = [*phones, *(person.personal.email for person in people)]
    return [address for address in told if address is not None]


def _answer(work: Work, asked: Asked, person: Customer, reason: resource.Reason | None) -> Answer:
    audit.note(work, asked, status=200, resource_id=person.id)
    return Answer(200, jsonapi.document(resource.erased(person, reason)), person.id)
