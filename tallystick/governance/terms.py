"""Agree on quotas: a new version of a partner's terms, which replaces the last one from its instant on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

import tallystick.governance.store as store
from tallystick.base import clock, ids, money
from tallystick.base.errors import InvalidRequest, InvalidState, Refusal, at, attribute
from tallystick.base.work import Work
from tallystick.governance.model import (
    AMOUNT_MAX,
    LINES_MAX,
    PER_MAX,
    PRICE_MAX,
    VALUE_METRICS,
    Beyond,
    Line,
    Metric,
    Terms,
)
from tallystick.governance.periods import Period, is_time_zone

Currency = Annotated[str, Meta(min_length=3, max_length=3)]
CURRENCY_ONLY_OF_VALUES: Final = "A value is counted in the minor units of its currency, and a number has none."


class LineWish(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A line to agree on: what a period includes of a metric, and what becomes of more."""

    metric: Metric
    period: Period
    time_zone: Annotated[str, Meta(max_length=64, description="IANA, such as Europe/Berlin: where the period begins.")]
    included: Annotated[
        int, Meta(ge=0, le=AMOUNT_MAX, description="Minor units of `currency` for values, else a number.")
    ]
    beyond: Annotated[Beyond, Meta(description="More is refused, is charged up to `cap`, or is told and no more.")]
    currency: Annotated[Currency | None, Meta(description="ISO 4217, of a value; null for numbers.")] = None
    cap: Annotated[
        Annotated[int, Meta(ge=1, le=AMOUNT_MAX)] | None,
        Meta(description="The most in all where more is allowed; null: no bound."),
    ] = None
    unit_price: Annotated[
        Annotated[int, Meta(ge=0, le=PRICE_MAX)] | None,
        Meta(description="Minor units of `priceCurrency` for every `per` units beyond what is included."),
    ] = None
    per: Annotated[
        Annotated[int, Meta(ge=1, le=PER_MAX)] | None,
        Meta(description="For how many units the price is; 1 unless told."),
    ] = None
    price_currency: Annotated[Currency | None, Meta(description="A value's own unless told; needed for numbers.")] = (
        None
    )


@dataclass(frozen=True, slots=True)
class NewTerms:
    """What is agreed with a partner. `replaces` is the last version as it was seen; None: whichever is the last."""

    partner_id: UUID
    lines: tuple[LineWish, ...]
    effective_from: datetime | None = None
    """From when on it holds; None: from now."""
    replaces: int | None = None
    agreed_by: UUID | None = None


async def agree(work: Work, new: NewTerms) -> Terms | Refusal:
    """The new version, from which on its lines bound the partner. What is used of a running period goes on.

    The lines have no faults. It waits for who is near a limit of the partner just then, and they for it.
    """
    assert not faults_of(new.lines), "faults of the lines are told before"
    if new.effective_from is not None and new.effective_from < work.now:
        detail = f"Terms begin now or later; it is {clock.render(work.now)}. What was agreed for the past stays."
        return InvalidRequest(detail, source=attribute("effectiveFrom"))
    last = await store.lock_head(work, new.partner_id)
    if new.replaces is not None and new.replaces != last:
        return InvalidState(
            f"The last version is {last}, not {new.replaces}. Read it, and decide anew.", source=attribute("version")
        )
    terms = Terms(
        id=ids.new(),
        partner_id=new.partner_id,
        version=last + 1,
        effective_from=new.effective_from or work.now,
        created_by=new.agreed_by,
        created_at=work.real_now,
        lines=tuple(_line(new.partner_id, wish) for wish in new.lines),
    )
    await store.insert_terms(work, terms)
    return terms


async def history(work: Work, partner_id: UUID) -> list[Terms]:
    """Every version of a partner's terms, oldest first."""
    return await store.history(work, partner_id)


def faults_of(lines: Sequence[LineWish]) -> list[Refusal]:
    """Everything that is wrong with lines, each fault at its place."""
    wrong: list[Refusal] = []
    if len(lines) > LINES_MAX:
        wrong.append(InvalidRequest(f"At most {LINES_MAX} lines are agreed.", source=attribute("lines")))
    seen: set[tuple[str, str | None, str]] = set()
    for number, wish in enumerate(lines[:LINES_MAX]):
        place = (wish.metric, wish.currency, wish.period)
        faults = dict(_faults(wish))
        if place in seen:
            faults["metric"] = "There is a line of this metric, currency and period already."
        seen.add(place)
        wrong += [
            InvalidRequest(detail, source=at(f"/data/attributes/lines/{number}/{name}"))
            for name, detail in faults.items()
        ]
    return wrong


def _faults(wish: LineWish) -> Mapping[str, str]:
    """What is wrong with a line by itself, by the name of the member."""
    faults: dict[str, str] = {}
    if (wish.currency is not None) != (wish.metric in VALUE_METRICS):
        faults["currency"] = CURRENCY_ONLY_OF_VALUES
    elif wish.currency is not None and not money.is_currency(wish.currency):
        faults["currency"] = "The currency is an ISO 4217 code in capitals, such as EUR."
    if not is_time_zone(wish.time_zone):
        faults["timeZone"] = "The time zone is a name of the IANA database, such as Europe/Berlin."
    if wish.beyond != "allow":
        priced = {"cap": wish.cap, "unitPrice": wish.unit_price, "per": wish.per, "priceCurrency": wish.price_currency}
        told = "Only where more is allowed there is a cap or a price."
        return faults | {name: told for name, value in priced.items() if value is not None}
    if wish.unit_price is None:
        faults["unitPrice"] = "What is allowed beyond has a price; 0 where it costs nothing."
    if wish.cap is not None and wish.cap <= wish.included:
        faults["cap"] = "The cap is the most in all: more than what is included, or null for no bound."
    price_currency = wish.price_currency or wish.currency
    if price_currency is None or not money.is_currency(price_currency):
        faults["priceCurrency"] = "The price needs a currency, an ISO 4217 code in capitals, such as EUR."
    return faults


def _line(partner_id: UUID, wish: LineWish) -> Line:
    allows = wish.beyond == "allow"
    return Line(
        id=ids.new(),
        partner_id=partner_id,
        metric=wish.metric,
        currency=wish.currency,
        period=wish.period,
        time_zone=wish.time_zone,
        included=wish.included,
        beyond=wish.beyond,
        cap=wish.cap,
        unit_price=wish.unit_price,
        per=(wish.per or 1) if allows else None,
        price_currency=(wish.price_currency or wish.currency) if allows else None,
    )
