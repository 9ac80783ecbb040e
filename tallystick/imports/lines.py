"""Lines of a file, as what they say by field. Pure; every broken line is told apart from its neighbours."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tallystick.activity.model import Kind
from tallystick.activity.sent import OrderAttributes, Sent, TransactionAttributes, VisitAttributes
from tallystick.imports.cutting import RECORD_MAX, SHOWN_MAX, Record, Unreadable
from tallystick.imports.model import FIELDS, Import, Rejection

BOM: Final = "\ufeff"
DOCUMENTS: Final[Mapping[Kind, type[Sent]]] = {
    "transaction": TransactionAttributes,
    "visit": VisitAttributes,
    "order": OrderAttributes,
}
_OTHER_CHARACTERS: Final = re.compile(r"[^a-z0-9]")

Said = dict[str, Any] | Sent
"""What a line says: text or JSON values by field, or a whole document as it would be posted."""


def header(record: Record, delimiter: str) -> tuple[str, ...]:
    """The columns that the first line of a CSV file names. Raises Unreadable."""
    if record.is_too_long:
        raise Unreadable(f"The first line names the columns, and is longer than {RECORD_MAX} bytes.")
    try:
        (names,) = _cells(_decoded(record), delimiter)
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
    alike: dict[str, list[int]] = {}
    for name, place in places.items():
        alike.setdefault(_plain(name), []).append(place)
    for field in FIELDS:
        # `Source ID` and `source_id` are sourceId, where just one column is.
        at = [places[field]] if field in places else alike.get(_plain(field), [])
        if field not in named and len(at) == 1 and at[0] not in named.values():
            named[field] = at[0]
    for field in ("sourceId", "occurredAt"):
        if field not in named:
            raise Unreadable(f"No column is {field}; name one in `columns`. The columns are {', '.join(names)}.")
    return named


def values(found: Import, record: Record, places: Mapping[str, int], width: int) -> Said | Rejection | None:
    """What a record says; None: nothing, it is blank. Text is stripped, and empty text is absent."""
    if record.is_too_long:
        return rejection(record, "Unreadable", f"The line is longer than {RECORD_MAX} bytes.")
    if not record.text.strip():
        return None
    try:
        text = _decoded(record)
        if found.format == "parquet":
            return _row(msgspec.json.decode(text))
        if found.format == "ndjson":
            return _object(found, msgspec.json.decode(text)) if text.strip() else None
        (cells,) = _cells(text, found.delimiter)
    except (ValueError, csv.Error, msgspec.MsgspecError, RecursionError) as wrong:
        return rejection(record, "Unreadable", f"The line cannot be read: {wrong}.")
    if len(cells) != width:
        return rejection(record, "Unreadable", f"The line has {len(cells)} columns, not {width}.")
    return {field: value for field, place in places.items() if (value := cells[place].strip())}


def rejection(record: Record, code: str, detail: str) -> Rejection:
    """The record as one that was not taken, with as much of it as is kept."""
    return Rejection(record.line, code, detail, record.text[:SHOWN_MAX])


def _cells(text: str, delimiter: str) -> list[list[str]]:
    if '"' not in text and "\r" not in (line := text.removesuffix("\n").removesuffix("\r")) and line:
        return [line.split(delimiter)]  # most lines; a reader for each costs five times as much
    lines = [text] if "\n" not in text[:-1] else io.StringIO(text, newline="")
    return list(csv.reader(lines, delimiter=delimiter, strict=True))


def _plain(name: str) -> str:
    return _OTHER_CHARACTERS.sub("", name.lower())


def _decoded(record: Record) -> str:
    try:
        decoded = record.text.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise ValueError(f"byte {wrong.start + 1} of it is not UTF-8") from None
    if "\x00" in decoded:
        raise ValueError("it holds a NUL")
    return decoded.removeprefix(BOM) if record.line == 1 else decoded


def _object(found: Import, value: Any) -> Said:
    if not isinstance(value, dict):
        raise ValueError("it is no object")  # noqa: TRY004 -- one kind of fault for whoever reads lines
    if _holds_nul(value):
        raise ValueError("it holds a NUL")
    if isinstance(value.get("source"), dict) and "source" not in found.columns.values():
        return msgspec.convert(value, DOCUMENTS[found.kind])
    if isinstance(value.get("data"), dict) and "data" not in found.columns.values():
        return msgspec.convert(value["data"].get("attributes"), DOCUMENTS[found.kind])
    renamed = {found.columns.get(field, field): field for field in FIELDS}
    unknown = sorted(name for name in value if name not in renamed)
    if unknown:
        raise ValueError(f"it has no field {unknown[0]!r}")
    said = {renamed[name]: each for name, each in value.items() if each is not None}
    return {field: each.strip() if isinstance(each, str) else each for field, each in said.items() if each != ""}


def _row(said: dict[str, Any]) -> Said:
    if _holds_nul(said):
        raise ValueError("it holds a NUL")
    stripped = {field: each.strip() if isinstance(each, str) else each for field, each in said.items()}
    return {field: each for field, each in stripped.items() if each != ""}


def _holds_nul(value: Any) -> bool:
    """Whether any text of it, however deep, holds what the database cannot keep."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any("\x00" in name or _holds_nul(each) for name, each in value.items())
    return isinstance(value, list) and any(map(_holds_nul, value))
