"""Reading the documents of strangers: every member is looked at before it is believed; a fault names its place, not its value."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from tallystick.activity import Identity, Item
from tallystick.activity.model import AMOUNT_MAX
from tallystick.base import clock, money, phone
from tallystick.base.body import parse
from tallystick.base.money import Money

TEXT_MAX: Final = 200
QUANTITY_MAX: Final = 1_000_000

_DECIMAL: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,10})?")


class Unread(Exception):
    """The document cannot be read. The sentence names the place and never what stands there."""


@dataclass(frozen=True, slots=True)
class Part:
    """An object within a document, and where it is."""

    members: Mapping[str, Any]
    place: str = ""

    def has(self, name: str) -> bool:
        """Whether the member is there, with a value."""
        return self.members.get(name) not in (None, "", [], {})

    def part(self, name: str) -> "Part":
        """The object under this name."""
        found = self.members.get(name)
        if not isinstance(found, dict):
            raise self._wrong(name, "an object")
        return Part(found, self._at(name))

    def part_or_none(self, name: str) -> "Part | None":
        """The object under this name, if there is one."""
        return self.part(name) if self.has(name) else None

    def parts(self, name: str) -> list["Part"]:
        """The objects in the list under this name; none where it is absent."""
        found = self.members.get(name)
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self._wrong(name, "a list of objects")
        return [Part(each, f"{self._at(name)}[{number}]") for number, each in enumerate(found)]

    def text(self, name: str) -> str:
        """The text under this name: not blank, and at most 200 characters that can be printed."""
        found = self.text_or_none(name)
        if found is None:
            raise self._wrong(name, "a text")
        return found

    def text_or_none(self, name: str) -> str | None:
        """The text under this name; None where there is none. Ids may be written as whole numbers."""
        found = self.members.get(name)
        if found is None or found == "":
            return None
        if isinstance(found, int) and not isinstance(found, bool) and abs(found) < 2**63:
            return str(found)
        if not isinstance(found, str) or len(found) > TEXT_MAX or not found.isprintable():
            raise self._wrong(name, f"a text of at most {TEXT_MAX} characters")
        return found.strip() or None

    def texts(self, name: str) -> list[str]:
        """The texts in the list under this name; none where it is absent."""
        found = self.members.get(name)
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise self._wrong(name, "a list of texts")
        return list(found)

    def whole(self, name: str) -> int:
        """The whole number under this name, from 0 to the most an operation takes."""
        found = self.members.get(name)
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= AMOUNT_MAX:
            raise self._wrong(name, f"a whole number from 0 to {AMOUNT_MAX}")
        return found

    def minor(self, name: str, currency: str) -> int:
        """The decimal number under this name, as text or number, in minor units of the currency, half a unit rounded up.

        It may be negative. What is absent is 0.
        """
        found = self.members.get(name)
        if found is None or found == "":
            return 0
        exact = _decimal(found)
        if exact is None:
            raise self._wrong(name, "a decimal number such as 12.50")
        units = int(exact.scaleb(_exponent(currency)).quantize(Decimal(1), ROUND_HALF_UP))
        if abs(units) > AMOUNT_MAX:
            raise self._wrong(name, f"at most {AMOUNT_MAX} minor units")
        return units

    def quantity(self, name: str) -> int:
        """How many: the whole number under this name without its sign. What is weighed or measured is one thing."""
        exact = _decimal(self.members.get(name, 1))
        if exact is None or abs(exact) > QUANTITY_MAX:
            raise self._wrong(name, f"a quantity of at most {QUANTITY_MAX}")
        return abs(int(exact)) if exact == exact.to_integral_value() else 1

    def instant(self, name: str) -> datetime:
        """The instant under this name, in whole milliseconds. One without an offset is UTC."""
        found = self.members.get(name)
        if not isinstance(found, str):
            raise self._wrong(name, "an instant")
        text = found.replace(" ", "T", 1)
        try:
            at = clock.parse_instant(text if re.search(r"([zZ]|[+-]\d\d:\d\d)$", text) else f"{text}Z")
        except ValueError:
            raise self._wrong(name, "an instant such as 2026-03-31T18:30:00Z") from None
        return at.replace(microsecond=at.microsecond // 1000 * 1000)

    def currency(self, name: str) -> str:
        """The currency under this name."""
        found = self.members.get(name)
        if not isinstance(found, str) or not money.is_currency(found):
            raise self._wrong(name, "an ISO 4217 code such as EUR")
        return found

    def _at(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name

    def _wrong(self, name: str, wanted: str) -> Unread:
        return Unread(f"At {self._at(name)} there should be {wanted}.")


def document(body: bytes) -> Part:
    """The object that the body is. Raises Unread."""
    value, faults = parse(body)
    if faults:
        raise Unread(f"The document is no JSON that is taken: {faults[0].detail}")
    if not isinstance(value, dict):
        raise Unread("The document is not an object.")
    return Part(value)


def balanced(items: Sequence[Item], amount: int, tax: int, currency: str) -> tuple[Item, ...]:
    """The lines of a receipt so that they add up to it, amounts and taxes.

    What no line has (shipping, a tip, a unit of rounding) is a line of its own, of no thing and no category. Where the lines have
    more than the receipt (a discount on the whole), each has its share of it.
    """
    if not items:
        return ()
    amounts, taxes = _within([item.amount for item in items], amount, currency), [item.tax for item in items]
    taxes = _within(taxes, tax, currency)
    lines = [
        Item(its_amount, min(its_tax, its_amount), item.quantity, item.category)
        for item, its_amount, its_tax in zip(items, amounts, taxes, strict=True)
    ]
    rest, rest_tax = amount - sum(line.amount for line in lines), tax - sum(line.tax for line in lines)
    if rest_tax > rest:
        # Tax for which there is no room in the rest: the receipt's own sums do not fit its lines, so that none is believed.
        return ()
    return (*lines, Item(rest, rest_tax, 0)) if rest or rest_tax else tuple(lines)


def _within(parts: Sequence[int], whole: int, currency: str) -> list[int]:
    """The parts, made smaller in proportion where they are more than the whole."""
    if any(part < 0 for part in parts):
        raise Unread("A line of the receipt is negative.")
    total = sum(parts)
    if total <= whole:
        return list(parts)
    return [share.minor for share in Money(whole, currency).allocate(parts)]


def e164(text: str | None, country: str) -> Identity | None:
    """The phone as an identity; None where the text is no possible number."""
    if text is None:
        return None
    try:
        return Identity("phone", phone.normalise(text, country))
    except phone.ImpossiblePhone:
        return None


def _exponent(currency: str) -> int:
    try:
        return money.exponent(currency)
    except money.UnknownCurrency:
        raise Unread("The currency is not an ISO 4217 code.") from None


def _decimal(found: Any) -> Decimal | None:
    """The number exactly as it is written, as far as it is bounded."""
    if isinstance(found, bool):
        return None
    if isinstance(found, float):
        if not math.isfinite(found) or abs(found) >= 1e15:
            return None
        return Decimal(repr(found))
    text = str(found) if isinstance(found, int) else found
    return Decimal(text) if isinstance(text, str) and _DECIMAL.fullmatch(text) else None
