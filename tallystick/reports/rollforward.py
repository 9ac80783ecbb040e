"""The liability roll-forward: what holders could spend, what came and went, and what they can spend then. Per class of value."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tallystick.ledger.periods_model import Moved, Movement

UNCLAIMED: Final = "unclaimed"
"""The class of rewards that wait for a wallet: reserved, and owed like any other value."""

CLASSES: Final = ("paid", "refund", "promotional", "compensation", UNCLAIMED)
TENDER: Final = frozenset({"paid", "refund"})
"""Classes that somebody paid for: those whose breakage is recognised ahead."""

LINES: Final = (
    "sold", "loaded", "issued", "claimed", "redeemed", "refunded", "expired", "cancelled", "reversed", "netted", "adjusted",
    "transferred", "purchaseReturned", "cashedOut", "other",
)  # fmt: skip
"""In their order. Whatever is of no kind known here is `other`, so that a roll-forward always closes."""

LINE_OF_KIND: Final[Mapping[str, str]] = {
    "card.load": "loaded",
    "reward.issue": "issued",
    "reward.pre_issue": "issued",
    "reward.claim": "claimed",
    "reward.update": "adjusted",
    "reward.cancel": "cancelled",
    "reward.expire": "expired",
    "reward.reverse": "reversed",
    "payment.capture": "redeemed",
    "payment.refund": "refunded",
    "lot.expire": "expired",
    "card.adjust": "adjusted",
    "card.replace": "transferred",
    "card.transfer": "transferred",
    "wallet.merge": "transferred",
    "wallet.unmerge": "transferred",
    "card.refund_purchase": "purchaseReturned",
    "card.charge_back": "purchaseReturned",
    "card.cash_out": "cashedOut",
}


def value_class(code: str, lot_class: str | None) -> str | None:
    """The class under which an account's balance is owed to a holder; None where it is not."""
    return UNCLAIMED if code == "reward.unclaimed" else lot_class


def line_of(movement: Movement, owed_as: str) -> str:
    """The line of the roll-forward on which a movement stands."""
    if movement.kind == "card.issue":
        return "sold" if owed_as in TENDER else "issued"
    if movement.kind in ("reward.issue", "reward.claim") and not movement.came and owed_as != UNCLAIMED:
        return "netted"  # what the holder owed was taken off at once
    return LINE_OF_KIND.get(movement.kind, "other")


def lines(moved: Iterable[tuple[Movement, Moved]]) -> dict[str, dict[str, Moved]]:
    """By class and line, what moved."""
    found: dict[str, dict[str, Moved]] = {each: {} for each in CLASSES}
    for movement, amounts in moved:
        owed_as = value_class(movement.code, movement.lot_class)
        if owed_as is None:
            continue
        sum_ = found[owed_as].setdefault(line_of(movement, owed_as), Moved())
        sum_.amount += amounts.amount
        sum_.entries += amounts.entries
    return found


def by_class(balances: Mapping[tuple[str, str | None], int]) -> dict[str, int]:
    """Balances by code and class of lot, as what is owed by class."""
    owed = dict.fromkeys(CLASSES, 0)
    for (code, lot_class), balance in balances.items():
        owed_as = value_class(code, lot_class)
        if owed_as is not None:
            owed[owed_as] += balance
    return owed


def rows(
    opening: Mapping[str, int], moved: Mapping[str, Mapping[str, Moved]], closing: Mapping[str, int]
) -> Iterator[tuple[str, str, int, int | None]]:
    """(class, line, amount, entries): for each class the opening, what moved, and the closing. It must close."""
    for owed_as in CLASSES:
        came = moved[owed_as]
        reached = opening[owed_as] + sum(each.amount for each in came.values())
        assert reached == closing[owed_as], (
            f"{owed_as} value rolls forward to {reached}, but stands at {closing[owed_as]}"
        )
        yield owed_as, "opening", opening[owed_as], None
        for line in LINES:
            if line in came:
                yield owed_as, line, came[line].amount, came[line].entries
        yield owed_as, "closing", closing[owed_as], None
