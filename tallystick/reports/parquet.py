"""The rows of a report as Parquet: a group of rows for each part, so that no report is ever held whole."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from tallystick.reports.model import Line

WHOLE: Final = frozenset(
    {
        "amount", "balanceAfter", "captured", "closing", "contraAfter", "contraBefore", "count", "credits", "debits", "entries",
        "expired", "fromVersion", "lots", "opening", "other", "period", "rateBasisPoints", "recognised", "redeemed", "refunded",
        "sold", "toVersion", "unredeemed",
    }
)  # fmt: skip
"""Columns of whole numbers (minor units, counts, versions); all others are text."""


async def stream(columns: Sequence[str], parts: AsyncIterator[list[Line]]) -> AsyncIterator[bytes]:
    """The file, piece by piece: its footer comes last, so that nothing is ever gone back to. Compressed by Zstandard."""
    schema = pa.schema([(name, pa.int64() if name in WHOLE else pa.string()) for name in columns])
    sink = io.BytesIO()
    writer = pq.ParquetWriter(pa.PythonFile(_Behind(sink), mode="w"), schema, compression="zstd")
    async for rows in parts:
        await asyncio.to_thread(_write, writer, schema, rows)
        yield _taken(sink)
    await asyncio.to_thread(writer.close)
    yield _taken(sink)


class _Behind:
    """A file that only grows; what was taken from the buffer counts still."""

    closed = False

    def __init__(self, sink: io.BytesIO) -> None:
        self._sink, self._written = sink, 0

    def write(self, content: bytes) -> int:
        self._written += len(content)
        return self._sink.write(content)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """There is nothing behind the buffer."""

    def close(self) -> None:
        self.closed = True


def _write(writer: "pq.ParquetWriter", schema: "pa.Schema", rows: Sequence[Line]) -> None:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _taken(sink: io.BytesIO) -> bytes:
    content = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return content
