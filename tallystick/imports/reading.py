"""What lines say, read as activity. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from tallystick.activity import sent
from tallystick.activity.checking import sums
from tallystick.activity.model import AMOUNT_MAX, Identity, Item, Method, Payment, RecordActivity, Type
from tallystick.base import clock, ids, phone
from tallystick.base.errors import Refusal
from tallystick.base.work import Asked
from tallystick.imports.lines import Said
from tallystick.imports.model import Import
from tallystick.merchants import MerchantRef

METHODS: Final = frozenset(get_args(Method))
TYPES: Final = frozenset({"Purchase", "Void", "Refund"})
IDENTITIES: Final = ("userId", "phoneNumber", "externalId", "memberCode", "cardToken")
QUANTITY_MAX: Final = 1_000_000

_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_LOCAL: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?")


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a file's lines needs: on whose behalf, where numbers are dialled, the source that names are in, and the
    merchant's locations by their external ids."""

    found: Import
    asked: Asked
    country: str
    source: str
    places: Mapping[str, UUID]

    def activity(self, said: Said, line: int) -> RecordActivity:
        """What a line tells. Raises ValueError with what is wrong."""
        return self._flat(said, line) if isinstance(said, dict) else self._document(said, line)

    def _document(self, document: sent.Sent, line: int) -> RecordActivity:
        """What it would tell if it were posted."""
        found, faults = self.found, list[Refusal]()
        if document.merchant_id is not None and ids.parse(document.merchant_id) != found.merchant_id:
            raise ValueError("merchantId is another merchant than the import's")
        shop = MerchantRef(found.merchant_id, self.country, active=True)
        told = sent.command(self.asked, found.kind, document, shop, dict(self.places), faults)
        if told is not None:
            faults += sums(told)
        if told is None or faults:
            raise ValueError(" ".join(_told(fault) for fault in faults))
        return replace(
            told,
            currency=told.currency or found.currency,
            attribution=found.attribution,
            import_id=found.id,
            import_line=line,
        )

    def _flat(self, said: Mapping[str, Any], line: int) -> RecordActivity:
        found, kind = self.found, _type(self.found, said)
        amount, tax = _number(said, "amount", 0), _number(said, "tax", 0)
        quantity = _number(said, "quantity", 1 if "category" in said else 0, most=QUANTITY_MAX)
        if kind == "Purchase" and "amount" not in said:
            raise ValueError("amount is required")
        category, method = _text(said, "category", 100), _text(said, "method", 100)
        if method is not None and method not in METHODS:
            raise ValueError(f"method is one of {', '.join(sorted(METHODS))}")
        return RecordActivity(
            asked=self.asked,
            kind=found.kind,
            type=kind,
            merchant_id=found.merchant_id,
            source=self.source,
            source_id=_needed(said, "sourceId"),
            occurred_at=_instant(_needed(said, "occurredAt"), found.time_zone),
            identity=self._identity(said),
            channel=_text(said, "channel", 100),
            location_id=self._location(said),
            currency=_currency(said) or found.currency,
            amount=amount,
            tax=tax,
            items=(Item(amount, tax, quantity, category),) if quantity or category is not None else (),
            payments=() if method is None else (Payment(amount, method),),  # type: ignore[arg-type]
            linked_source_id=_text(said, "linkedSourceId", 255),
            attribution=found.attribution,
            import_id=found.id,
            import_line=line,
        )

    def _identity(self, said: Mapping[str, Any]) -> Identity | None:
        named = [field for field in IDENTITIES if field in said]
        if not named:
            return None
        if len(named) > 1:
            raise ValueError(f"a customer is named once, here by {' and '.join(named)}")
        value = _needed(said, named[0])
        if named[0] == "phoneNumber":
            try:
                return Identity("phone", phone.normalise(value, self.country))
            except phone.ImpossiblePhone as impossible:
                raise ValueError(f"phoneNumber: {impossible}") from None
        if named[0] == "userId" and ids.parse(value) is None:
            raise ValueError("userId is no id")
        kind: Any = named[0]
        return Identity(kind, value)

    def _location(self, said: Mapping[str, Any]) -> UUID | None:
        named, external = _text(said, "locationId", 36), _text(said, "locationExternalId", 255)
        if named is not None and external is not None:
            raise ValueError("a location is named by locationId or by locationExternalId")
        if external is not None:
            if external not in self.places:
                raise ValueError("the merchant has no location of this locationExternalId")
            return self.places[external]
        found = None if named is None else ids.parse(named)
        if named is not None and found is None:
            raise ValueError("locationId is no id")
        return found


def place_in(said: Said) -> Any:
    """By which id of the partner's own a line names its location, if it does."""
    return said.get("locationExternalId") if isinstance(said, dict) else said.location_external_id


def _told(fault: Refusal) -> str:
    """A fault with its place in the document."""
    pointer = "" if fault.source is None else fault.source.name
    return f"{pointer.removeprefix('/data/attributes/')}: {fault.detail}"


def _type(found: Import, said: Mapping[str, Any]) -> Type:
    if found.kind == "visit":
        return "Visit"
    if found.kind == "order":
        return "Order"
    kind: Any = _text(said, "type", 100) or "Purchase"
    if kind not in TYPES:
        raise ValueError("type is Purchase, Refund or Void")
    chosen: Type = kind
    return chosen


def _number(said: Mapping[str, Any], field: str, otherwise: int, *, most: int = AMOUNT_MAX) -> int:
    value = said.get(field, otherwise)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        what = "a whole number" if field == "quantity" else "a whole number of minor units"
        raise ValueError(f"{field} is {what}, 0 to {most}")
    return value


def _text(said: Mapping[str, Any], field: str, most: int) -> str | None:
    value = said.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"{field} is text of at most {most} characters")
    return value


def _needed(said: Mapping[str, Any], field: str) -> str:
    value = _text(said, field, 255)
    if value is None:
        raise ValueError(f"{field} is required")
    return value


def _currency(said: Mapping[str, Any]) -> str | None:
    value = _text(said, "currency", 3)
    if value is not None and _CURRENCY.fullmatch(value) is None:
        raise ValueError("currency is three capital letters, by ISO 4217")
    return value


def _instant(text: str, zone: str | None) -> datetime:
    """With an offset as everywhere; without one the wall clock of the file's time zone, or the beginning of the day there."""
    if zone is not None and _LOCAL.fullmatch(text) is not None:
        try:
            return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError("occurredAt: there is no such date or time of day") from None
    try:
        return clock.parse_instant(text.replace(" ", "T", 1))
    except ValueError as wrong:
        raise ValueError(f"occurredAt: {wrong}") from None
