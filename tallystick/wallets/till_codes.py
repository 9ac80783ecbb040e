"""Codes that a holder shows at a till: one that is drawn for this minute and used once, or the member code that never changes.

A drawn code has 18 digits: a 7 in front, 16 random ones (53 bits) and a check digit by Luhn. No card or member code has that form.
Only its keyed index is kept, and that not for long.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import tallystick.wallets.store as store
import tallystick.wallets.till_store as till_store
from tallystick import customers, merchants
from tallystick.base.work import Work
from tallystick.customers import member_code
from tallystick.wallets.actions import successors

LIFE: Final = timedelta(seconds=60)
LIVE_MAX: Final = 5
"""How many codes of one wallet may be good at one time: as many tries as a hand needs, and no stock to sell from."""

FORGOTTEN_AT_ONCE: Final = 20
FIRST: Final = "7"
RANDOM_DIGITS: Final = 16
LENGTH: Final = 18


@dataclass(frozen=True, slots=True)
class TillCodeTried:
    """What a till of a merchant read or was told."""

    merchant_id: UUID
    code: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A code that was drawn just now. The only place where it stands in the clear."""

    code: str
    expires_at: datetime


async def draw(work: Work, wallet_id: UUID) -> Drawn | datetime:
    """A fresh code for a wallet whose row is locked; where it has as many as it may, when the first of them ends."""
    await till_store.forget(work, FORGOTTEN_AT_ONCE)
    live = await till_store.live(work, wallet_id)
    if len(live) >= LIVE_MAX:
        return live[-LIVE_MAX]
    drawn = Drawn(new(), work.now + LIFE)
    await till_store.insert(work, _index(work, drawn.code), wallet_id, drawn.expires_at)
    return drawn


async def find(work: Work, wanted: Sequence[TillCodeTried], *, use: bool) -> dict[str, UUID]:
    """The wallet, at the merchant that asks, of each code that is good now: by the code as it was given; others are absent.

    A drawn code is good for a minute and one use; the member code where the merchant's terms say that it pays. Neither tells of
    a wallet at another merchant. With `use` a drawn code is locked until the work ends, before any wallet is, so that of two tills
    one waits and then finds it used; whoever accepts its payment says so with `use`. A code that several merchants try at once is
    found for none. The wallet is open, or the one that it was merged into; whether it may be spent from, its status says.
    """
    written = {tried.code: normalised(tried.code) for tried in wanted}
    drawn = await _drawn(work, {code for code in written.values() if well_formed(code)}, use=use)
    paying = await _paying(work, wanted, written)
    wallets = await store.by_ids(work, list({*drawn.values(), *paying.values()}))
    places: dict[str, set[UUID]] = {}
    for tried in wanted:
        places.setdefault(written[tried.code], set()).add(tried.merchant_id)
    found: dict[str, UUID] = {}
    for tried in wanted:
        code = written[tried.code]
        wallet_id = drawn.get(code) or paying.get((tried.merchant_id, code))
        wallet = None if wallet_id is None else wallets.get(wallet_id)
        if wallet is not None and wallet.merchant_id == tried.merchant_id and len(places[code]) == 1:
            found[tried.code] = wallet.id
    return found


async def use(work: Work, codes: Sequence[str]) -> None:
    """Payments that these codes began, one each, are accepted: the drawn ones are good no more.

    They were found, with `use`, in this work. That one is named twice is a fault, and undoes the work.
    """
    drawn = [code for code in map(normalised, codes) if well_formed(code)]
    if drawn:
        used = await till_store.use(work, [_index(work, code) for code in drawn])
        assert used == len(drawn), "a code is used once, by a work that found and locked it"


def new() -> str:
    """A fresh code."""
    digits = FIRST + f"{secrets.randbelow(10**RANDOM_DIGITS):0{RANDOM_DIGITS}}"
    return digits + _check(digits)


def well_formed(code: str) -> bool:
    """Whether `code` has the form of a drawn one, with the right check digit."""
    is_number = len(code) == LENGTH and code.isascii() and code.isdigit()
    return is_number and code.startswith(FIRST) and _check(code[:-1]) == code[-1]


def normalised(code: str) -> str:
    """The code without the gaps and dashes that people put in, in capitals."""
    return "".join(code.split()).replace("-", "").upper()


async def _drawn(work: Work, codes: set[str], *, use: bool) -> dict[str, UUID]:
    """The wallets of drawn codes that are good now, each where its value lives."""
    if not codes:
        return {}
    indexes = {_index(work, code): code for code in codes}
    good = await (till_store.lock(work, list(indexes)) if use else till_store.good(work, list(indexes)))
    living = await successors(work, list({wallet_id for _, wallet_id in good}))
    return {indexes[index]: living[wallet_id] for index, wallet_id in good}


async def _paying(work: Work, wanted: Sequence[TillCodeTried], written: dict[str, str]) -> dict[tuple[UUID, str], UUID]:
    """The wallets of member codes, by merchant and code, where the merchant lets them pay."""
    tried = [(each.merchant_id, written[each.code]) for each in wanted if member_code.well_formed(written[each.code])]
    if not tried:
        return {}
    terms = await merchants.terms(work, list({merchant_id for merchant_id, _ in tried}))
    tried = [(place, code) for place, code in tried if place in terms and terms[place].member_code_pays]
    holders = await customers.of_member_codes(work, list({code for _, code in tried})) if tried else {}
    held = await store.of_customers(work, list(set(holders.values()))) if holders else []
    wallets = {(wallet.merchant_id, wallet.customer_id): wallet.id for wallet in held}
    return {
        (place, code): wallets[place, holders[code]]
        for place, code in tried
        if code in holders and (place, holders[code]) in wallets
    }


def _index(work: Work, code: str) -> bytes:
    return work.keys.blind_index(work.tenant.id, f"till-code:{code}")


def _check(digits: str) -> str:
    """The check digit by Luhn (ISO/IEC 7812-1): finds every single wrong digit and nearly every swap of neighbours."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + (place + 1) % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)
