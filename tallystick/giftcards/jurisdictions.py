"""The law of gift cards as dated rules, each with its source: how long paid value lasts, and when its rest is paid out.

What is in force is decided at an instant: a rule begins and ends with a day of its own country or region. Value that nobody
paid for is exempt from all of them; whoever asks knows which value it is. The rules are kept in `jurisdictions.json`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from importlib.resources import files
from typing import Final, Literal
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec

from tallystick.base import clock, money
from tallystick.base.errors import InvalidRequest, Refusal, attribute

Kind = Literal["minimumExpiry", "cashOut", "inactivityFee"]

NAMES: Final = UUID("7b6a2a2e-8f0c-5a53-9d0b-3f5d8d0e6c11")
"""The space of names that rules get their ids from."""
MONTHS_MAX: Final = 1200
SAYS: Final[dict[Kind, frozenset[str]]] = {
    "minimumExpiry": frozenset({"months"}),
    "cashOut": frozenset({"below", "currency"}),
    "inactivityFee": frozenset({"allowed"}),
}
"""What a rule of each kind says, and no other says."""


class UnusableRules(Exception):
    """The file of rules says something that cannot be meant; the sentence names the rule."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule is written down."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class GiftCardRule:
    """One rule, in force from `begins` (None: ever since) until just before `ends` (None: for ever)."""

    name: str
    country: str
    region: str | None
    """ISO 3166-2; None: the whole country."""
    kind: Kind
    months: int | None
    """Of a minimum expiry: from the issue or the last load."""
    below: int | None
    """Of a cash-out: minor units of `currency` below which the rest of a card is paid out."""
    currency: str | None
    allowed: bool | None
    """Of inactivity fees, which are never charged here: whether the law allows any."""
    effective_from: date | None
    effective_until: date | None
    begins: datetime | None
    ends: datetime | None
    note: str
    source: Source

    @property
    def id(self) -> UUID:
        return uuid5(NAMES, self.name)

    def holds(self, country: str, region: str | None, at: datetime) -> bool:
        """Whether it is in force at this place at this instant."""
        if self.country != country or self.region not in (None, region):
            return False
        return (self.begins is None or self.begins <= at) and (self.ends is None or at < self.ends)


@cache
def rules() -> tuple[GiftCardRule, ...]:
    """Every rule, in the order of the file. Raises UnusableRules."""
    return read(files("tallystick.giftcards").joinpath("jurisdictions.json").read_bytes())


def minimum_expiry(country: str, region: str | None, at: datetime) -> datetime | None:
    """Until when value that is paid for at `at` can be spent at least; None: no rule says so."""
    found = _longest(country, region, at)
    return None if found is None else found[1]


def refuse_expiry(country: str, region: str | None, at: datetime, expires_at: datetime) -> Refusal | None:
    """Why value that is paid for at `at` may not expire at `expires_at`; None where it may."""
    found = _longest(country, region, at)
    if found is None or expires_at >= found[1]:
        return None
    rule, earliest = found
    place = rule.country if rule.region is None else rule.region
    return InvalidRequest(
        f"In {place} what is paid for lasts at least {rule.months} months ({rule.name}: {rule.source.title}), here until "
        f"{clock.render(earliest)}. Let it expire then or later, or never.",
        source=attribute("expiresAt"),
    )


def cash_out_threshold(country: str, region: str | None, currency: str, at: datetime) -> int | None:
    """The minor units below which the rest of a card is paid out on request; None: no rule asks for that."""
    thresholds = [
        rule.below
        for rule in rules()
        if rule.below is not None and rule.currency == currency and rule.holds(country, region, at)
    ]
    return max(thresholds, default=None)


def read(text: bytes) -> tuple[GiftCardRule, ...]:
    """The rules of a file. Raises UnusableRules: a rule that is unclear about anything is none."""
    try:
        file = msgspec.json.decode(text, type=_File)
    except msgspec.DecodeError as fault:
        raise UnusableRules(f"The file of rules cannot be read: {fault}") from None
    found = tuple(_rule(written, file.zones) for written in file.rules)
    _check_together(found)
    return found


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    country: str
    region: str | None
    kind: Kind
    note: str
    source: Source
    effective_from: date | None = msgspec.field(name="from")
    effective_until: date | None = msgspec.field(name="until")
    months: int | None = None
    below: int | None = None
    currency: str | None = None
    allowed: bool | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    zones: dict[str, str]
    rules: list[_Written]


def _longest(country: str, region: str | None, at: datetime) -> tuple[GiftCardRule, datetime] | None:
    """Of the rules in force the one that asks for most, and until when."""
    lasting = [
        (rule, clock.add_duration(at, f"P{rule.months}M"))
        for rule in rules()
        if rule.kind == "minimumExpiry" and rule.holds(country, region, at)
    ]
    return max(lasting, key=lambda each: each[1], default=None)


def _rule(written: _Written, zones: dict[str, str]) -> GiftCardRule:
    said = frozenset(name for name in frozenset().union(*SAYS.values()) if getattr(written, name) is not None)
    place = written.region or written.country
    checks = [
        (bool(written.name) and written.name.isascii(), "has no name"),
        (len(written.country) == 2 and written.country.isupper(), "names no country"),
        (written.region is None or written.region.startswith(f"{written.country}-"), "names a region of elsewhere"),
        (said == SAYS[written.kind], f"says {sorted(said)} instead of {sorted(SAYS[written.kind])}"),
        (written.months is None or 0 < written.months <= MONTHS_MAX, "lasts no time"),
        (written.below is None or written.below > 0, "pays nothing out"),
        (written.currency is None or money.is_currency(written.currency), "is in no currency"),
        (_in_order(written.effective_from, written.effective_until), "ends before it begins"),
        (written.source.url.startswith("https://") and bool(written.source.title.strip()), "has no source"),
        (place in zones, "has no time zone"),
    ]
    for is_well, fault in checks:
        if not is_well:
            raise UnusableRules(f"The rule {written.name!r} {fault}.")
    zone = ZoneInfo(zones[place])
    return GiftCardRule(
        begins=_midnight(written.effective_from, zone),
        ends=_midnight(written.effective_until, zone),
        **{name: getattr(written, name) for name in _Written.__struct_fields__},
    )


def _in_order(start: date | None, end: date | None) -> bool:
    return start is None or end is None or start < end


def _midnight(day: date | None, zone: ZoneInfo) -> datetime | None:
    return None if day is None else datetime.combine(day, time.min, zone).astimezone(UTC)


def _check_together(found: Sequence[GiftCardRule]) -> None:
    names: set[str] = set()
    for rule in found:
        if rule.name in names:
            raise UnusableRules(f"The rule {rule.name!r} is written twice.")
        names.add(rule.name)
    for number, rule in enumerate(found):
        for other in found[number + 1 :]:
            if _about(rule) == _about(other) and _overlap(rule, other):
                raise UnusableRules(f"The rules {rule.name!r} and {other.name!r} hold at one time for one place.")


def _about(rule: GiftCardRule) -> tuple[str | None, ...]:
    return rule.country, rule.region, rule.kind, rule.currency


def _overlap(one: GiftCardRule, other: GiftCardRule) -> bool:
    starts_in_time = one.ends is None or other.begins is None or other.begins < one.ends
    return starts_in_time and (other.ends is None or one.begins is None or one.begins < other.ends)
