"""Records: cut out of the bytes of a file that comes piece by piece. Pure; where pieces end makes no difference."""

import csv
import io
from collections.abc import Iterator
from typing import Final

import msgspec

OTHER_ENCODINGS: Final = (b"\xff\xfe", b"\xfe\xff")
RECORD_MAX: Final = 1024 * 1024
"""The longest record, in bytes. What is longer is told with its beginning, and passed over without being held."""
LINES_OF_RECORD_MAX: Final = 100
SHOWN_MAX: Final = 8 * 1024
"""How much of a record is kept of one that is not taken."""


class Unreadable(Exception):
    """The file cannot be read from here on; the message says where and what to do."""


class Record(msgspec.Struct, frozen=True):
    """A line, or several where a quoted field goes over their ends: its bytes, its first line, and what lies behind it."""

    text: bytes
    line: int
    bytes_done: int
    lines_done: int
    is_too_long: bool = False
    """It was longer than `RECORD_MAX`: `text` is its beginning only."""


class Cutter:
    """Cuts records out of a file that comes piece by piece, from a place behind a record on.

    With a delimiter quotes count, as in CSV: a record ends with a line whose quotes are all closed. A line whose quote opens no
    field, or is not closed within `LINES_OF_RECORD_MAX` lines and `RECORD_MAX` bytes, stands alone: it takes no other with it.
    """

    def __init__(self, *, bytes_done: int, lines_done: int, delimiter: str | None) -> None:
        self._bytes, self._lines, self._delimiter = bytes_done, lines_done, delimiter
        self._rest = b""
        self._long: bytes | None = None
        """The beginning of a line that is passed over."""

    def feed(self, piece: bytes, *, last: bool = False) -> Iterator[Record]:
        """The records that are whole now. Raises Unreadable."""
        rest, start = self._rest + piece, 0
        if self._bytes == 0 and rest.startswith(OTHER_ENCODINGS):
            raise Unreadable("The file is UTF-16; save it as UTF-8.")
        while start < len(rest):
            if self._long is not None:
                end = rest.find(b"\n", start) + 1 or (len(rest) if last else 0)
                if not end:
                    self._bytes += len(rest) - start
                    start = len(rest)
                    break
            else:
                end = self._end(rest, start, last=last)
            if end:
                yield self._record(rest, start, end)
                start = end
            elif len(rest) - start <= RECORD_MAX:
                break
            elif (newline := rest.find(b"\n", start)) >= 0:
                yield self._record(rest, start, newline + 1)
                start = newline + 1
            else:
                self._long = rest[start : start + SHOWN_MAX]
        self._rest = rest[start:]
        if last and self._long is not None:
            yield self._record(b"", 0, 0)

    def _record(self, rest: bytes, start: int, end: int) -> Record:
        text, self._long = self._long, None
        is_too_long = text is not None or end - start > RECORD_MAX
        first, ends_line = self._lines + 1, rest[end - 1 : end] == b"\n"
        if text is None:
            text = rest[start : start + SHOWN_MAX] if is_too_long else rest[start:end]
        self._lines += 1 if is_too_long else text.count(b"\n") + (not ends_line)
        self._bytes += end - start
        return Record(text, first, self._bytes, self._lines, is_too_long)

    def _end(self, rest: bytes, start: int, *, last: bool) -> int:
        """Where the record ends; 0: not here yet."""
        end, first, quotes = start, 0, 0
        for _ in range(LINES_OF_RECORD_MAX):
            newline = rest.find(b"\n", end)
            if newline < 0 and not last:
                return 0
            behind = newline + 1 or len(rest)
            if self._delimiter is None:
                return behind
            quotes += rest.count(b'"', end, behind)
            end, first = behind, first or behind
            if end - start > RECORD_MAX or (end == first and quotes % 2 == 0):
                return first
            if quotes % 2 == 0:
                return end if self._is_one(rest[start:end]) else first
            if end == len(rest) and last:
                return first
        return first

    def _is_one(self, text: bytes) -> bool:
        """Whether these lines are one record, as their quotes make believe: text may hold quotes that open nothing."""
        assert self._delimiter is not None, "quotes count in CSV only"
        rows = csv.reader(
            io.StringIO(text.decode(errors="replace"), newline=""), delimiter=self._delimiter, strict=True
        )
        try:
            return sum(1 for _ in rows) == 1
        except csv.Error:
            return False
