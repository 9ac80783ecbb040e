"""Columns of many rows as parameters of one statement: what all rows have alike is sent once."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def is_alike(column: Sequence[object]) -> bool:
    """Whether there are values, and all of them are the same."""
    return bool(column) and column[-1] == column[0] and column.count(column[0]) == len(column)


def one_or_all(column: Sequence[T]) -> tuple[Sequence[T], T | None]:
    """The values and nothing; or none of them and the one that all have. For `coalesce` of the array's and the other."""
    return ((), column[0]) if is_alike(column) else (column, None)


def shortened(column: Sequence[T]) -> Sequence[T]:
    """The values, or the first where all are the same. For functions that fill an array of one up."""
    return column[:1] if is_alike(column) else column
