"""Records cut out of bytes: where pieces end makes no difference, and nothing is lost."""

import csv
import io
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.imports import cutting, lines
from tallystick.imports.cutting import Cutter, Record, Unreadable

PIECES = st.lists(
    st.sampled_from(
        [b"a,b\n", b'"a,b"\n', b'"a\nb",c\n', b'a"b\n', b'"open\n', b"\r\n", b"\n", b'"",""\r\n', b"\xff\xfe\n", b"tail"]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip
DELIMITERS = st.sampled_from([",", None])


def cut(content: bytes, ends: Sequence[int], delimiter: str | None) -> list[Record]:
    """The records of a file that comes in pieces which end there."""
    cutter, begun = Cutter(bytes_done=0, lines_done=0, delimiter=delimiter), 0
    found: list[Record] = []
    for end in sorted({min(each, len(content)) for each in ends}):
        found += cutter.feed(content[begun:end])
        begun = end
    return found + list(cutter.feed(content[begun:], last=True))


@given(PIECES, st.lists(st.integers(0, 100), max_size=8), DELIMITERS)
def test_where_pieces_end_makes_no_difference(content: bytes, ends: list[int], delimiter: str | None) -> None:
    if content.startswith(cutting.OTHER_ENCODINGS):
        with pytest.raises(Unreadable):
            cut(content, [], delimiter)
        return
    assert cut(content, ends, delimiter) == cut(content, [], delimiter)


@given(PIECES, st.lists(st.integers(0, 100), max_size=8), DELIMITERS)
def test_every_byte_is_in_one_record(content: bytes, ends: list[int], delimiter: str | None) -> None:
    if not content.startswith(cutting.OTHER_ENCODINGS):
        found = cut(content, ends, delimiter)
        assert b"".join(each.text for each in found) == content
        assert [each.bytes_done for each in found[-1:]] == [len(content)] * bool(content)


@given(PIECES, st.integers(0, 11), DELIMITERS)
def test_who_goes_on_behind_a_mark_finds_the_rest(content: bytes, at: int, delimiter: str | None) -> None:
    if content.startswith(cutting.OTHER_ENCODINGS):
        return
    whole = cut(content, [], delimiter)
    if at < len(whole):
        mark = whole[at]
        again = Cutter(bytes_done=mark.bytes_done, lines_done=mark.lines_done, delimiter=delimiter)
        assert list(again.feed(content[mark.bytes_done :], last=True)) == whole[at + 1 :]


@pytest.mark.parametrize("last_alone", [True, False])
def test_a_line_that_is_too_long_is_told_once_also_at_the_end(
    monkeypatch: pytest.MonkeyPatch, last_alone: bool
) -> None:
    monkeypatch.setattr(cutting, "RECORD_MAX", 20)
    cutter = Cutter(bytes_done=0, lines_done=0, delimiter=None)
    found = [*cutter.feed(b"short\n" + b"x" * 30), *cutter.feed(b"x" * 10)]
    found += [*cutter.feed(b"x" * 5), *cutter.feed(b"", last=True)] if last_alone else cutter.feed(b"x" * 5, last=True)
    assert [(each.line, each.is_too_long, each.bytes_done) for each in found] == [(1, False, 6), (2, True, 51)]


@given(
    st.text(alphabet='ab,; \r"\t\u2028\x0b', max_size=12),
    st.sampled_from(["\n", "\r\n", ""]),
    st.sampled_from([",", ";", "\t", " "]),
)
def test_a_line_without_quotes_has_the_cells_that_a_reader_of_csv_finds(line: str, end: str, delimiter: str) -> None:
    def cells(found: Callable[[], list[list[str]]]) -> list[str] | None:
        try:
            (one,) = found()
        except (ValueError, csv.Error):
            return None
        return one

    text = line + end
    read = csv.reader(
        [text] if "\n" not in text[:-1] else io.StringIO(text, newline=""), delimiter=delimiter, strict=True
    )
    assert cells(lambda: lines._cells(text, delimiter)) == cells(lambda: list(read))
