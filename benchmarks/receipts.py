"""Purchases, numbered: the same lines for the ceiling, the files, the verb and the requests."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zlib import crc32

BEGAN: Final = datetime(2026, 6, 1, tzinfo=UTC)
STEP_SECONDS: Final = 3
"""Receipts are so far apart; they begin anew after `SPREAD` of them, within some five weeks."""
SPREAD: Final = 1_000_000
COLUMNS: Final = ("sourceId", "occurredAt", "externalId", "channel", "amount", "tax", "quantity", "category", "method")
CATEGORIES: Final = ("coffee", "cake", "lunch", "retail")
METHODS: Final = ("CreditCard", "DebitCard", "Cash", "GiftCard")
LARGE: Final = 100_000
LARGE_EACH: Final = 100
"""One purchase in so many is of more than `LARGE` minor units; the first rule rewards each of them."""


def external_id(number: int) -> str:
    """The partner's own id of a customer."""
    return f"member-{number:07d}"


def amount(number: int) -> int:
    """In minor units."""
    mixed = number * 2_654_435_761 % 2**32
    return LARGE + mixed % 500 if number % LARGE_EACH == LARGE_EACH // 2 else 500 + mixed % 3_000


def customer(number: int, customers: int) -> int:
    """Who buys: anybody, some more often than others, as by chance."""
    return crc32(number.to_bytes(8, "big")) % customers


def occurred_at(number: int) -> datetime:
    """When it happened."""
    return BEGAN + timedelta(seconds=number % SPREAD * STEP_SECONDS)


def line(run: str, number: int, customers: int) -> str:
    """A line of a CSV file."""
    total = amount(number)
    return (
        f"{run}-{number:09d},{occurred_at(number):%Y-%m-%dT%H:%M:%SZ},{external_id(customer(number, customers))},pos,{total},"
        f"{total // 12},{1 + number % 3},{CATEGORIES[number % 4]},{METHODS[number // 4 % 4]}\n"
    )


def lines(run: str, rows: int, customers: int) -> Iterator[str]:
    """The lines of a file, its header first."""
    yield ",".join(COLUMNS) + "\n"
    for number in range(rows):
        yield line(run, number, customers)


def write(file: Path, run: str, rows: int, customers: int) -> None:
    """A file of so many receipts, none of which any other run has."""
    with file.open("w", encoding="ascii") as out:
        out.writelines(lines(run, rows, customers))
