"""The races: what is done at once with the same value. Each leaves the counting to the table's book."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from tallystick.torture.tables import Table
from tallystick.torture.tills import Answer

VALUE = 1_000
TILLS = 8
Race = Callable[[Table], Awaitable[None]]


async def tills_on_one_card(table: Table) -> None:
    """Eight tills want about twice what is there, some at once, some to hold, some as much as there is; two share a reference."""
    card, other = await asyncio.gather(table.card(VALUE), table.card(VALUE))
    reference = table.key()
    chance = table.chance
    await _at_once(
        *(
            table.pay([card], chance.randint(100, 600), allowPartial=chance.random() < 0.3, capture=capture)
            for capture in ("automatic", "manual") * (TILLS // 2)
        ),
        *(table.pay([card], 50, reference=reference) for _ in range(2)),
        table.pay([card, other], 900),
        table.pay([other, card], 900, capture="manual"),
    )


async def capture_and_cancel(table: Table) -> None:
    """One payment is captured in two ways, and cancelled twice."""
    card = await table.card(VALUE)
    for intent in await asyncio.gather(*(table.hold(card, 300) for _ in range(3))):
        await _at_once(table.capture(intent), table.cancel(intent), table.capture(intent, 120), table.cancel(intent))


async def refund_and_refund(table: Table) -> None:
    """More is wanted back than was captured, in parts."""
    card = await table.card(VALUE)
    for _ in range(2):
        intent = await table.taken(card, 500)
        await _at_once(*(table.refund(intent, part) for part in (500, 300, 200, 200, 100, 100, 500)))


async def increase_and_capture(table: Table) -> None:
    """A payment is increased beyond the card while it is captured, and while another wants the same value."""
    card = await table.card(VALUE)
    intent = await table.hold(card, 200)
    await _at_once(
        table.increase(intent, 300), table.capture(intent), table.increase(intent, 400),
        table.increase(intent, 200), table.pay([card], 500), table.capture(intent, 250),
    )  # fmt: skip


async def expiry_and_redeem(table: Table) -> None:
    """The clock passes a card's expiry while tills pay with it, and what was paid is given back."""
    card = await _short_lived(table)
    paid = await table.taken(card, 100)
    await _at_once(
        *(table.pay([card], 150, capture=capture) for capture in ("automatic", "manual") * 4),
        table.refund(paid, 40), table.advance("PT2M"), table.refund(paid, 30),
    )  # fmt: skip
    other = await _short_lived(table)
    await table.advance("PT2M")
    table.expect(refused=await table.pay([other], 1), because="the card had expired")


async def hold_across_expiry(table: Table) -> None:
    """Value is held when its lot expires; then it is captured, cancelled or refunded."""
    card = await _short_lived(table)
    intents = await asyncio.gather(*(table.hold(card, 200) for _ in range(4)))
    await _at_once(table.advance("PT2M"), table.pay([card], 100), table.capture(intents[0]), table.cancel(intents[1]))
    await _at_once(table.capture(intents[2], 50), table.cancel(intents[2]), table.cancel(intents[3]))
    await _at_once(table.refund(intents[0], 120), table.refund(intents[0], 120))


async def merge_and_spend(table: Table) -> None:
    """Two customers become one while both wallets pay."""
    (user, wallet), (into, survivor), card = await asyncio.gather(table.wallet(), table.wallet(), table.card(VALUE))
    table.book.link(wallet, survivor)
    await asyncio.gather(table.transfer(card, wallet, 600), table.transfer(card, survivor, 300))
    paid = await table.taken(wallet, 100)
    await _at_once(
        *(table.pay([each], 110) for each in (wallet, survivor) * 4),
        table.pay([wallet], 50, capture="manual"), table.refund(paid, 60),
        table.merge(user, into), table.merge(into, user), table.transfer(card, wallet, 50),
    )  # fmt: skip


async def freeze_and_pay(table: Table) -> None:
    """A card is frozen while tills pay; once frozen it pays nothing."""
    card = await table.card(VALUE)
    *_, frozen = await _at_once(
        *(table.pay([card], 130, capture=capture) for capture in ("automatic", "manual") * 4), table.freeze(card)
    )
    if frozen.done:
        table.expect(refused=await table.pay([card], 1), because="the card was frozen")
    await _at_once(table.unfreeze(card), *(table.pay([card], 90) for _ in range(4)))


async def replace_and_pay(table: Table) -> None:
    """A card is replaced twice at once while tills pay, and what was paid before is given back."""
    card = await table.card(VALUE)
    paid = await table.taken(card, 200)
    *_, one, other = await _at_once(
        *(table.pay([card], 150) for _ in range(6)),
        table.refund(paid, 80), table.refund(paid, 120), table.replace(card), table.replace(card),
    )  # fmt: skip
    if one.done and other.done:
        table.book.differences.append(f"{table.name}: one card was replaced twice")
    if one.done or other.done:
        table.expect(refused=await table.pay([card], 1), because="the card was replaced")


async def transfer_and_pay(table: Table) -> None:
    """Value moves to a wallet, in several parts and twice with one key, while card and wallet pay."""
    (_, wallet), card = await asyncio.gather(table.wallet(), table.card(VALUE))
    key = table.key()
    await _at_once(
        *(table.pay([card], 170) for _ in range(4)), *(table.pay([wallet], 120) for _ in range(3)),
        table.pay([wallet, card], 200), *(table.transfer(card, wallet, 250, key) for _ in range(2)),
        *(table.transfer(card, wallet, 300) for _ in range(2)),
    )  # fmt: skip


async def reverse_and_original(table: Table) -> None:
    """Tills give up on payments that are still on their way."""
    card = await table.card(VALUE)
    first, second = table.key(), table.key()
    await _at_once(
        table.pay([card], 200, reference=first), table.reverse(first), table.reverse(first),
        table.reverse(second), table.pay([card], 300, reference=second, capture="manual"), table.pay([card], 400),
    )  # fmt: skip


async def same_key_twice(table: Table) -> None:
    """One key, many requests: a card, a payment, another amount by its key, a refund, a capture."""
    key = table.key()
    card, again, _ = await asyncio.gather(*(table.card(VALUE, key) for _ in range(3)))
    if card != again:
        return  # the book knows
    keys = table.key(), table.key(), table.key()
    paid, held = await table.taken(card, 150), await table.hold(card, 150)
    await _at_once(
        *(table.pay([card], 120, key=keys[0]) for _ in range(4)), table.pay([card], 121, key=keys[0]),
        *(table.refund(paid, 60, keys[1]) for _ in range(3)), *(table.capture(held, 70, keys[2]) for _ in range(3)),
    )  # fmt: skip


async def _at_once(*asked: Awaitable[Answer | None]) -> list[Answer]:
    """All at once, in the order that is told; the answers without those of the clock."""
    return [each for each in await asyncio.gather(*asked) if each is not None]


async def _short_lived(table: Table) -> str:
    """A promotional card that expires in a minute of the sandbox."""
    at = datetime.fromisoformat(await table.now()) + timedelta(minutes=1)
    return await table.card(VALUE, valueClass="promotional", expiresAt=at.isoformat().replace("+00:00", "Z"))


CLOCK_RACES: Mapping[str, Race] = {"expiry and redeem": expiry_and_redeem, "hold across expiry": hold_across_expiry}
"""One of these at a time: a programme has one clock."""
RACES: Mapping[str, Race] = {
    "tills on one card": tills_on_one_card,
    "capture and cancel": capture_and_cancel,
    "refund and refund": refund_and_refund,
    "increase and capture": increase_and_capture,
    "merge and spend": merge_and_spend,
    "freeze and pay": freeze_and_pay,
    "replace and pay": replace_and_pay,
    "transfer and pay": transfer_and_pay,
    "reverse and original": reverse_and_original,
    "same key twice": same_key_twice,
    **CLOCK_RACES,
}
