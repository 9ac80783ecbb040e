"""Lines of a file: cut out of its bytes, and read as activity. Pure; every broken line is told apart from its neighbours."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, get_args
from uuid import UUID

import msgspec

from tallystick.activity.model import AMOUNT_MAX, Identity, Item, Method, Payment, RecordActivity, Type
from tallystick.base import clock, ids, phone
from tallystick.base.work import Asked
from tallystick.imports.model import FIELDS, Import, Rejection

BOM: Final = b"\xef\xbb\xbf"
OTHER_ENCODINGS: Final = (b"\xff\xfe", b"\xfe\xff")
RECORD_MAX: Final = 1024 * 1024
LINES_OF_RECORD_MAX: Final = 100
METHODS: Final = frozenset(get_args(Method))
TYPES: Final = frozenset({"Purchase", "Void", "Refund"})
IDENTITIES: Final = ("userId", "phoneNumber", "externalId", "memberCode", "cardToken")
INVALID: Final = "InvalidRequest"


class Unreadable(Exception):
    """The file cannot be read from here on; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class Record:
    """A line, or several where a quoted field goes over their ends: its bytes, its first line, and what lies behind it."""

    text: bytes
    line: int
    bytes_done: int
    lines_done: int


class Cutter:
    """Cuts records out of a file that comes piece by piece, from a place behind a record on."""

    def __init__(self, *, bytes_done: int, lines_done: int, quoted: bool) -> None:
        self._rest, self._bytes, self._lines, self._quoted = b"", bytes_done, lines_done, quoted

    def feed(self, piece: bytes, *, last: bool = False) -> Iterator[Record]:
        """The records that are whole now. Raises Unreadable."""
        rest = self._rest + piece
        if self._bytes == 0 and rest.startswith(OTHER_ENCODINGS):
            raise Unreadable("The file is UTF-16; save it as UTF-8.")
        start = 0
        while start < len(rest):
            end = self._end(rest, start, last=last)
            if end is None:
                break
            text = rest[start:end]
            first = self._lines + 1
            self._lines += text.count(b"\n") + (not text.endswith(b"\n"))
            self._bytes += len(text)
            start = end
            yield Record(text, first, self._bytes, self._lines)
        self._rest = rest[start:]
        if len(self._rest) > RECORD_MAX:
            raise Unreadable(
                f"The record that begins in line {self._lines + 1} is longer than {RECORD_MAX} bytes; a quote may not be closed."
            )

    def _end(self, rest: bytes, start: int, *, last: bool) -> int | None:
        """Where the record ends; None: not here yet. A quote that is not closed in so many lines ends with its own line."""
        end, first, quotes = start, None, 0
        for _ in range(LINES_OF_RECORD_MAX):
            newline = rest.find(b"\n", end)
            if newline < 0:
                if not last:
                    return None
                closed = (quotes + rest.count(b'"', end)) % 2 == 0
                return len(rest) if first is None or not self._quoted or closed else first
            quotes += rest.count(b'"', end, newline) if self._quoted else 0
            end = newline + 1
            if quotes % 2 == 0:
                return end
            first = first or end
        return first


def header(record: Record, delimiter: str) -> tuple[str, ...]:
    """The columns that the first line of a CSV file names. Raises Unreadable."""
    try:
        (names,) = csv.reader([_decoded(record.text).removeprefix("\ufeff")], delimiter=delimiter, strict=True)
    except (ValueError, csv.Error) as wrong:
        raise Unreadable(f"The first line names the columns, and cannot be read: {wrong}.") from None
    names = [name.strip() for name in names]
    if len(set(names)) < len(names):
        raise Unreadable("The first line names a column twice.")
    return tuple(names)


def wanted(found: Import, names: Sequence[str]) -> dict[str, int]:
    """In which place each field stands. Raises Unreadable where a column that is named is not there."""
    places = {name: place for place, name in enumerate(names)}
    for field, column in found.columns.items():
        if column not in places:
            raise Unreadable(
                f"There is no column {column!r}, which is to be {field}. The columns are {', '.join(names)}."
            )
    named = {field: places[column] for field, column in found.columns.items()}
    named |= {field: places[field] for field in FIELDS if field not in named and field in places}
    for field in ("sourceId", "occurredAt"):
        if field not in named:
            raise Unreadable(f"No column is {field}; name one in `columns`. The columns are {', '.join(names)}.")
    return named


def values(found: Import, record: Record, places: Mapping[str, int], width: int) -> dict[str, Any] | Rejection | None:
    """What a record says, by field; None: nothing, it is blank. Text is stripped, and empty text is absent."""
    if not record.text.strip():
        return None
    try:
        text = _decoded(record.text)
        if found.format == "ndjson":
            return _object(found, msgspec.json.decode(text))
        (cells,) = csv.reader(
            [text] if "\n" not in text[:-1] else io.StringIO(text, newline=""), delimiter=found.delimiter, strict=True
        )
    except (ValueError, csv.Error, msgspec.MsgspecError) as wrong:
        return Rejection(record.line, "Unreadable", f"The line cannot be read: {wrong}.", record.text)
    if len(cells) != width:
        return Rejection(record.line, "Unreadable", f"The line has {len(cells)} columns, not {width}.", record.text)
    said = {field: cells[place].strip() for field, place in places.items()}
    return {field: value for field, value in said.items() if value}


def _object(found: Import, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("it is no object")  # noqa: TRY004 -- one kind of fault for whoever reads lines
    renamed = {found.columns.get(field, field): field for field in FIELDS}
    unknown = sorted(name for name in value if name not in renamed)
    if unknown:
        raise ValueError(f"it has no field {unknown[0]!r}")
    said = {renamed[name]: each for name, each in value.items() if each is not None}
    return {field: each.strip() if isinstance(each, str) else each for field, each in said.items() if each != ""}


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a file's lines needs: on whose behalf, where numbers are dialled, and the source that names are in."""

    found: Import
    asked: Asked
    country: str | None
    source: str

    def activity(self, said: Mapping[str, Any], line: int, places: Mapping[str, UUID]) -> RecordActivity:
        """What a line tells. Raises ValueError with what is wrong."""
        found, kind = self.found, _type(self.found, said)
        amount, tax = _number(said, "amount", 0), _number(said, "tax", 0)
        quantity = _number(said, "quantity", 1 if "quantity" in said or "category" in said else 0, least=0)
        if kind == "Purchase" and "amount" not in said:
            raise ValueError("amount is required")
        category = _text(said, "category", 100)
        items = (Item(amount, tax, quantity, category),) if quantity or category is not None else ()
        method = said.get("method")
        if method is not None and method not in METHODS:
            raise ValueError(f"method is one of {', '.join(sorted(METHODS))}")
        return RecordActivity(
            asked=self.asked,
            kind=found.kind,
            type=kind,
            merchant_id=found.merchant_id,
            source=self.source,
            source_id=_needed(said, "sourceId"),
            occurred_at=_instant(_needed(said, "occurredAt")),
            identity=self._identity(said),
            channel=_text(said, "channel", 100),
            location_id=_location(said, places),
            currency=_text(said, "currency", 3) or found.currency,
            amount=amount,
            tax=tax,
            items=items,
            payments=() if method is None else (Payment(amount, method),),
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
        value = _text(said, named[0], 255)
        assert value is not None, "what is named is there"
        if named[0] == "phoneNumber":
            try:
                return Identity("phone", phone.normalise(value, self.country))
            except phone.ImpossiblePhone as impossible:
                raise ValueError(f"phoneNumber: {impossible}") from None
        if named[0] == "userId" and ids.parse(value) is None:
            raise ValueError("userId is no id")
        kind: Any = named[0]
        return Identity(kind, value)


def _decoded(text: bytes) -> str:
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise ValueError(f"byte {wrong.start + 1} of it is not UTF-8") from None
    if "\x00" in decoded:
        raise ValueError("it holds a NUL")
    return decoded


def _type(found: Import, said: Mapping[str, Any]) -> Type:
    if found.kind == "visit":
        return "Visit"
    if found.kind == "order":
        return "Order"
    kind = said.get("type", "Purchase")
    if kind not in TYPES:
        raise ValueError("type is Purchase, Refund or Void")
    chosen: Type = kind
    return chosen


def _number(said: Mapping[str, Any], field: str, otherwise: int, *, least: int = 0) -> int:
    value = said.get(field, otherwise)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= AMOUNT_MAX:
        raise ValueError(f"{field} is a whole number of minor units, {least} to {AMOUNT_MAX}")
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


def _instant(text: str) -> datetime:
    try:
        return clock.parse_instant(text)
    except ValueError as wrong:
        raise ValueError(f"occurredAt: {wrong}") from None


def _location(said: Mapping[str, Any], places: Mapping[str, UUID]) -> UUID | None:
    named, external = _text(said, "locationId", 36), _text(said, "locationExternalId", 255)
    if named is not None and external is not None:
        raise ValueError("a location is named by locationId or by locationExternalId")
    if external is not None:
        if external not in places:
            raise ValueError("the merchant has no location of this locationExternalId")
        return places[external]
    found = None if named is None else ids.parse(named)
    if named is not None and found is None:
        raise ValueError("locationId is no id")
    return found
