"""How much is spent in a merchant's day: by a wallet, by a card, and at the merchant. Owns `spending_days`.

A day is counted only where the merchant's terms bound it, and exactly: whoever adds to a day, or gives back, has locked its row
before any wallet or card, in the order of (subject, day). A payment counts in the day in which it was made, and so does what it is
increased by. What is cancelled or expires before its capture no longer counts; what is refunded does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal
from uuid import UUID

from tallystick.base.db import Step
from tallystick.base.errors import Source as Place
from tallystick.base.work import Work
from tallystick.merchants import SpendingTerms
from tallystick.payments.model import PaymentIntent, PaymentLimit, Source

Subject = Literal["wallet", "giftCard", "merchant"]

Day = tuple[UUID, date]
"""A subject in one day of its merchant."""

NAMES: Final = {"wallet": "one wallet", "giftCard": "one gift card", "merchant": "all payments together"}

OF_INTENTS = """
select merchant_id, counted_on
from payment_intents
where tenant_id = $1 and id = any($2::uuid[]) and counted_on is not null
union
select source_id, counted_on
from payment_sources
where tenant_id = $1 and intent_id = any($2::uuid[]) and counted_on is not null
"""

LOCK = """
select subject_id, day, count, amount
from spending_days
where tenant_id = $1 and subject_id = any($2::uuid[]) and day = any($3::date[])
order by subject_id, day
for update
"""

ADD = """
update spending_days as old
set count = old.count + more.count, amount = old.amount + more.amount
from unnest($2::uuid[], $3::date[], $4::integer[], $5::bigint[]) as more (subject_id, day, count, amount)
where old.tenant_id = $1 and old.subject_id = more.subject_id and old.day = more.day and old.subject_id = any($2)
"""

FORGET = """
delete from spending_days
where tenant_id = $1 and subject_id = any($2::uuid[]) and day = any($3::date[]) and count = 0 and amount = 0
"""

ADD_STEP = Step((("spent", ADD),))


@dataclass(slots=True)
class Spent:
    """How many payments, and minor units in all."""

    count: int = 0
    amount: int = 0


@dataclass(slots=True)
class Counters:
    """What was spent in the days that are counted, as their locked rows say, and what this work adds."""

    days: dict[Day, Spent]
    added: dict[Day, Spent] = field(default_factory=dict)

    def add(self, day: Day, amount: int, count: int = 1) -> None:
        """Count a payment, or with `count` 0 what one is increased by; below zero what is given back."""
        for spent in (self.days.setdefault(day, Spent()), self.added.setdefault(day, Spent())):
            spent.count += count
            spent.amount += amount

    def refusal(
        self, terms: SpendingTerms, kind: Subject, day: Day, amount: int, place: Place, count: int = 1
    ) -> PaymentLimit | None:
        """Why the terms do not allow so much more in this day; None where they do."""
        most, times = bounds(terms, kind)
        spent = self.days.get(day, Spent())
        if most is not None and spent.amount + amount > most:
            return PaymentLimit(
                f"The merchant allows at most {most} minor units in a day for {NAMES[kind]}; {spent.amount} are used.",
                source=place,
            )
        if times is not None and count and spent.count + count > times:
            return PaymentLimit(
                f"The merchant allows at most {times} payments in a day for {NAMES[kind]}.", source=place
            )
        return None


def bounds(terms: SpendingTerms, kind: Subject) -> tuple[int | None, int | None]:
    """The most that may be spent in a day, in minor units, and in how many payments; None: no bound."""
    if kind == "wallet":
        return terms.wallet_day_maximum, terms.wallet_day_count
    if kind == "giftCard":
        return terms.card_day_maximum, terms.card_day_count
    return terms.merchant_day_maximum, None


def is_counted(terms: SpendingTerms, kind: Subject) -> bool:
    """Whether the days of such a subject are counted."""
    return bounds(terms, kind) != (None, None)


async def lock(work: Work, intent_ids: Sequence[UUID]) -> Counters:
    """The days in which these payments count, locked; before their wallets and cards are."""
    rows = await work.db.rows(OF_INTENTS, work.tenant.id, intent_ids)
    if not rows:
        return Counters({})
    locked = await work.db.rows(LOCK, work.tenant.id, [row[0] for row in rows], [row[1] for row in rows])
    return Counters({(row[0], row[1]): Spent(row[2], row[3]) for row in locked})


def increase(
    counters: Counters, terms: SpendingTerms, intent: PaymentIntent, amounts: Sequence[tuple[Source, int]], place: Place
) -> PaymentLimit | None:
    """Count by how much a payment is increased, in all and from each source; or why the terms do not allow it.

    What did not count when the payment was made does not count now.
    """
    wanted: list[tuple[Subject, Day, int]] = [
        (source.kind, (source.source_id, source.counted_on), more)
        for source, more in amounts
        if source.counted_on is not None
    ]
    if intent.counted_on is not None:
        wanted.append(("merchant", (intent.merchant_id, intent.counted_on), sum(more for _, more in amounts)))
    for kind, day, more in wanted:
        refusal = counters.refusal(terms, kind, day, more, place, count=0)
        if refusal is not None:
            return refusal
    for _, day, more in wanted:
        counters.add(day, more, count=0)
    return None


async def give_back(work: Work, intents: Sequence[PaymentIntent], sources: Mapping[UUID, Sequence[Source]]) -> None:
    """Payments that end without a capture no longer count. Their days were locked by `lock`."""
    counters = Counters({})
    for intent in intents:
        if intent.counted_on is not None:
            counters.add((intent.merchant_id, intent.counted_on), -intent.authorized_amount, count=-1)
        for source in sources[intent.id]:
            if source.counted_on is not None:
                counters.add((source.source_id, source.counted_on), -source.authorized_amount, count=-1)
    await save(work, counters)


async def give_back_part(work: Work, intent: PaymentIntent, released: Sequence[tuple[Source, int]]) -> None:
    """What a capture leaves, in all and of each source, no longer counts; the payment does. Its days were locked by `lock`."""
    counters = Counters({})
    if intent.counted_on is not None:
        counters.add((intent.merchant_id, intent.counted_on), -sum(less for _, less in released), count=0)
    for source, less in released:
        if source.counted_on is not None:
            counters.add((source.source_id, source.counted_on), -less, count=0)
    await save(work, counters)


async def save(work: Work, counters: Counters) -> None:
    """Add what was counted to the locked days."""
    if columns := _columns(counters):
        await work.db.run(ADD, work.tenant.id, *columns)


def save_later(work: Work, counters: Counters) -> None:
    """The same at the end of the work; once in a work, since deferred writes do not see each other."""
    if columns := _columns(counters):
        work.defer(ADD_STEP, work.tenant.id, *columns)


async def forget(work: Work, days: Sequence[Day]) -> None:
    """Take away locked days on which nothing was spent after all."""
    if days:
        await work.db.run(FORGET, work.tenant.id, [subject_id for subject_id, _ in days], [day for _, day in days])


def _columns(counters: Counters) -> tuple[Sequence[object], ...]:
    added = {day: spent for day, spent in counters.added.items() if spent.count or spent.amount}
    if not added:
        return ()
    return (
        [subject_id for subject_id, _ in added],
        [day for _, day in added],
        [spent.count for spent in added.values()],
        [spent.amount for spent in added.values()],
    )
