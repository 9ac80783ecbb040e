"""A bug that can be planted: one text that stands once in one file, what becomes of it, and the tests that must notice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """`old` stands exactly once in `file`; with `new` in its place one of `tests` fails."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
