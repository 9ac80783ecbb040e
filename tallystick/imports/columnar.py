"""Records of a Parquet file: rows, each as the JSON object of the fields that are wanted of it.

The end of such a file says where everything is, so that it is needed whole: its parts are put together in a file without a name,
which is gone with the process. A batch of rows is held at a time; what the file says of itself is believed within bounds.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from tallystick.imports.cutting import Record, Unreadable

ROWS_AT_ONCE: Final = 1_000
COLUMNS_MAX: Final = 1_000
GROUP_BYTES_MAX: Final = 256 * 1024 * 1024
"""The most that the wanted columns of one row group may come to, unpacked."""
FOOTER_TEXT_MAX: Final = 16 * 1024 * 1024
FOOTER_ITEMS_MAX: Final = 1_000_000
NUMBERS: Final = frozenset({"amount", "tax", "quantity"})
CELL_MAX: Final = 1_024
"""Longer text is too long for every field; so much of it is enough to say so."""
UNREADABLE: Final[list[Any]] = []
"""What stands for a cell that cannot be read: no field is a list, and whoever reads the row says so."""
BAD: Final = "The file cannot be read as Parquet ({}). Send it as it was written, all parts of it in their order."


def open_file(source: IO[bytes], size: int) -> pq.ParquetFile:
    """The file, with all that it says of itself within bounds. Raises Unreadable."""
    try:
        found = _opened(source, [])
        # Text is read as a dictionary: a long one that many rows share is held once.
        texts = [
            each.name for each in found.schema_arrow if pa.types.is_string(each.type) or pa.types.is_binary(each.type)
        ]
        found = _opened(source, texts)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as wrong:
        raise Unreadable(BAD.format(type(wrong).__name__)) from None
    if found.metadata.num_columns > COLUMNS_MAX:
        raise Unreadable(f"The file has {found.metadata.num_columns} columns; at most {COLUMNS_MAX} can be read.")
    # Every row has a name of its own, which takes room: more rows than bytes are no honest file.
    rows = found.metadata.num_rows
    counts = [found.metadata.row_group(group).num_rows for group in range(found.metadata.num_row_groups)]
    if not 0 <= rows <= size or any(count < 0 for count in counts) or sum(counts) != rows:
        raise Unreadable(f"The file says that it has {rows} rows in {size} bytes, and {sum(counts)} in its groups.")
    return found


def _opened(source: IO[bytes], texts: list[str]) -> pq.ParquetFile:
    return pq.ParquetFile(
        source,
        thrift_string_size_limit=FOOTER_TEXT_MAX,
        thrift_container_size_limit=FOOTER_ITEMS_MAX,
        read_dictionary=texts,
    )


def names(found: pq.ParquetFile) -> tuple[str, ...]:
    """What the columns are called. Raises Unreadable."""
    called = tuple(found.schema_arrow.names)
    if len(set(called)) < len(called):
        raise Unreadable("The file names a column twice.")
    return called


async def records(
    found: pq.ParquetFile, fields: Mapping[str, str], *, rows_done: int, size: int
) -> AsyncIterator[Record]:
    """The rows behind the first `rows_done`; `fields` are the wanted fields with the columns they stand in. Raises Unreadable."""
    total = found.metadata.num_rows
    row = 0
    for group in range(found.metadata.num_row_groups):
        count = found.metadata.row_group(group).num_rows
        if row + count <= rows_done:
            row += count
            continue
        _check(found, group, set(fields.values()))
        batches = found.iter_batches(
            ROWS_AT_ONCE, row_groups=[group], columns=sorted(set(fields.values())), use_threads=False
        )
        while (texts := await asyncio.to_thread(_next, batches, fields)) is not None:
            for text in texts:
                row += 1
                if row > rows_done:
                    yield Record(text, row, size * row // total, row)


def fields_in(places: Mapping[str, int], header: tuple[str, ...]) -> dict[str, str]:
    """The columns of the fields, by the places where they stand."""
    return {field: header[place] for field, place in places.items()}


def _check(found: pq.ParquetFile, group: int, wanted: set[str]) -> None:
    described = found.metadata.row_group(group)
    columns = [described.column(number) for number in range(described.num_columns)]
    unpacked = sum(
        each.total_uncompressed_size
        for each in columns
        if each.path_in_schema in wanted or each.path_in_schema.partition(".")[0] in wanted
    )
    if unpacked > GROUP_BYTES_MAX:
        raise Unreadable(
            f"Row group {group + 1} comes to {unpacked} bytes; write the file with row groups of at most {GROUP_BYTES_MAX}."
        )
    for name in wanted:
        kind = found.schema_arrow.field(name).type
        if pa.types.is_nested(kind) or name not in {each.path_in_schema for each in columns}:
            raise Unreadable(f"The column {name!r} holds {kind}; a field is one value.")


def _next(batches: Iterator[pa.RecordBatch], fields: Mapping[str, str]) -> list[bytes] | None:
    """The next rows as JSON; None behind the last."""
    try:
        batch = next(batches, None)
        if batch is None:
            return None
        columns = {field: _values(batch.column(name), field) for field, name in fields.items()}
    except Unreadable:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as wrong:
        raise Unreadable(BAD.format(type(wrong).__name__)) from None
    encode = msgspec.json.Encoder().encode
    rows = zip(*columns.values(), strict=True)
    return [
        encode({field: value for field, value in zip(columns, row, strict=True) if value is not None}) for row in rows
    ]


def _values(column: pa.Array, field: str) -> list[Any]:
    """What the cells of a column say; one that says nothing that can be read is told as such, and harms no other."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    if pa.types.is_dictionary(column.type):
        # Each different value once: a few long ones that many rows share stay as few.
        known = [_cell(each, field) for each in column.dictionary]
        return [None if place is None else known[place] for place in column.indices.to_pylist()]
    return [_cell(each, field) for each in column]


def _cell(cell: pa.Scalar, field: str) -> Any:
    try:
        return _value(cell.as_py(), is_number=field in NUMBERS)
    except (ValueError, OverflowError, pa.ArrowException):
        return UNREADABLE


def _value(value: Any, *, is_number: bool) -> Any:
    """What a cell says, as a line of JSON would: whole numbers for numbers, text for everything else."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or (is_number and isinstance(value, int)):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    return text if len(text) <= CELL_MAX else text[:CELL_MAX]
